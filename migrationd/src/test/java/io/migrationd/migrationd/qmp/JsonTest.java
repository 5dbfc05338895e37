package io.migrationd.migrationd.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonParseException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("JSON")
class JsonTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "{}",
                "{\"a\":null,\"b\":[1,-2,2.5,true,false],\"c\":{\"d\":\"\\u20AC\"}}",
                "{\"max\":9223372036854775807}"
            })
    void survivesReadingAndWriting(String text) throws JsonParseException {
        assertThat(Json.write(Json.parseObject(text))).isEqualTo(text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "1", "{", "{\"a\"}", "{} x", "[{}]", "{\"a\":1,}"})
    void refusesWhatIsNotOneObject(String text) {
        assertThatThrownBy(() -> Json.parseObject(text)).isInstanceOf(JsonParseException.class);
    }

    @Test
    void aMemberOfAnotherTypeIsAbsent() throws JsonParseException {
        JsonObject object = Json.parseObject("{\"text\":\"x\",\"big\":18446744073709551615,\"list\":[1,{}]}");
        assertThat(object.number("text")).isEmpty();
        assertThat(object.text("big")).isEmpty();
        assertThat(object.number("big")).isEmpty();
        assertThat(object.decimal("big")).hasValue(0x1p64);
        assertThat(object.objects("list")).containsExactly(JsonObject.EMPTY);
        assertThat(object.list("none")).isEmpty();
    }
}
