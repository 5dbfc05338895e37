package io.migrationd.migrationd.link.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.link.MigrationUri;
import io.netty.pkitesting.CertificateBuilder;
import io.netty.pkitesting.X509Bundle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("TLS between daemons")
@Timeout(30)
class PeerTlsTest {
    private static final PeerSettings SETTINGS =
            new PeerSettings(50, 1000, 5, 50, PeerSettings.FOR_EVER, PeerSettings.MIN_BUFFER_BYTES);
    private static Instant later;
    private static X509Bundle authority;
    private static X509Bundle stranger;

    @TempDir
    private Path folder;

    @BeforeAll
    static void authorities() throws Exception {
        later = Instant.now().plus(10, ChronoUnit.DAYS).truncatedTo(ChronoUnit.SECONDS);
        authority = authority("CN=our authority");
        stranger = authority("CN=another authority");
    }

    private static X509Bundle authority(String name) throws Exception {
        return new CertificateBuilder()
                .ecp256()
                .subject(name)
                .setIsCertificateAuthority(true)
                .notBefore(Instant.now().minus(30, ChronoUnit.DAYS))
                .notAfter(later)
                .buildSelfSigned();
    }

    private PeerTls tls(String host, X509Bundle signer, Instant until) throws Exception {
        X509Bundle bundle = new CertificateBuilder()
                .ecp256()
                .subject("CN=" + host)
                .addSanDnsName(host)
                .notBefore(Instant.now().minus(20, ChronoUnit.DAYS))
                .notAfter(until)
                .buildIssuedBy(signer);
        Path certificate = Files.writeString(folder.resolve(host + ".pem"), bundle.getCertificatePathPEM());
        Path key = Files.writeString(folder.resolve(host + ".key"), bundle.getPrivateKeyPEM());
        Path trusted = Files.writeString(folder.resolve("authority.pem"), authority.getCertificatePEM());
        return PeerTls.load(certificate, key, trusted);
    }

    private interface Check {
        void check(PeerSession dialed, CompletableFuture<PeerSession> accepted) throws Exception;
    }

    private static void connect(PeerTls dialer, PeerTls listener, String expected, Check check) throws Exception {
        CompletableFuture<PeerSession> accepted = new CompletableFuture<>();
        try (PeerLinks b = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), SETTINGS, Optional.of(listener));
                PeerLinks a = new PeerLinks(new PeerIdentity("a", UUID.randomUUID()), SETTINGS, Optional.of(dialer));
                PeerServer server = b.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::complete)) {
            check.check(a.dial(expected, List.of(server.uri())), accepted);
        }
    }

    private static void isNotConnected(PeerSession dialed, CompletableFuture<PeerSession> accepted) throws Exception {
        assertThat(dialed.awaitUp(Duration.ofMillis(600))).isFalse();
        assertThat(accepted).isNotDone();
    }

    @Test
    void bothAreNamedByTheirCertificates() throws Exception {
        PeerTls a = tls("host-a", authority, later);
        assertThat(a.certificateExpires()).isEqualTo(later);
        assertThat(a.certificateName()).isEqualTo("host-a");
        connect(a, tls("host-b", authority, later), "host-b", (dialed, accepted) -> {
            assertThat(dialed.awaitUp(Duration.ofSeconds(5))).isTrue();
            PeerSession other = accepted.get(5, TimeUnit.SECONDS);
            assertThat(dialed.peerHost()).isEqualTo("host-b");
            assertThat(other.peerHost()).isEqualTo("host-a");
            assertThat(dialed.peerCertificateExpires()).contains(later);
            CompletableFuture<String> got = new CompletableFuture<>();
            other.onMessage(message -> got.complete(new String(message, StandardCharsets.UTF_8)));
            dialed.send("hello".getBytes(StandardCharsets.UTF_8));
            assertThat(got.get(5, TimeUnit.SECONDS)).isEqualTo("hello");
        });
    }

    @Test
    void certificateOfAnotherAuthorityIsRefused() throws Exception {
        connect(tls("host-a", stranger, later), tls("host-b", authority, later), "host-b", PeerTlsTest::isNotConnected);
        connect(tls("host-a", authority, later), tls("host-b", stranger, later), "host-b", PeerTlsTest::isNotConnected);
    }

    @Test
    void expiredCertificateIsRefused() throws Exception {
        Instant past = Instant.now().minus(1, ChronoUnit.DAYS);
        connect(tls("host-a", authority, past), tls("host-b", authority, later), "host-b", PeerTlsTest::isNotConnected);
        connect(tls("host-a", authority, later), tls("host-b", authority, past), "host-b", PeerTlsTest::isNotConnected);
    }

    @Test
    void certificateOfAnotherHostIsRefused() throws Exception {
        connect(
                tls("host-a", authority, later),
                tls("host-b", authority, later),
                "host-c",
                PeerTlsTest::isNotConnected);
    }

    @Test
    void doesNotListenBeyondLoopbackWithoutTls() {
        try (PeerLinks links = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), SETTINGS, Optional.empty())) {
            assertThatThrownBy(() -> links.listen(MigrationUri.parse("tcp:0.0.0.0:0"), session -> {}))
                    .isInstanceOf(PeerSetupException.class)
                    .hasMessageContaining("peer.listen = tcp:0.0.0.0:0")
                    .hasMessageContaining("peer.tls.certificate");
        }
    }

    @Test
    void saysWhichFileIsWrong() throws Exception {
        Path empty = Files.writeString(folder.resolve("empty.pem"), "");
        assertThatThrownBy(() -> PeerTls.load(empty, empty, empty))
                .isInstanceOf(PeerSetupException.class)
                .hasMessageContaining("empty.pem is no certificate");
    }
}
