package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Remembers what it was asked, and knows one move. */
final class FakeMoves implements MoveOperations {
    final List<String> asked = new ArrayList<>();
    List<Problem> problems = List.of();

    static MoveView view(String guest) {
        return new MoveView(
                "5b2c",
                guest,
                "source",
                "hostB",
                1,
                "moving",
                Optional.empty(),
                "source",
                "on its way",
                Optional.of("active"),
                1,
                2,
                new Progress(4, 3, 2, 1, 8.5, 0, 0),
                Optional.empty(),
                0,
                0,
                Optional.empty(),
                Optional.empty());
    }

    @Override
    public boolean isDefined(String guest) {
        return guest.equals("vm1");
    }

    @Override
    public List<Problem> check(String guest, MoveWish wish) {
        asked.add("check " + guest + " " + wish);
        return problems;
    }

    @Override
    public MoveView start(String guest, MoveWish wish) {
        asked.add("start " + guest + " " + wish);
        return view(guest);
    }

    @Override
    public void cancel(String guest) throws CommandException {
        if (!guest.equals("vm1")) {
            throw new CommandException("guest '%s' is not being moved from here".formatted(guest));
        }
        asked.add("cancel " + guest);
    }

    @Override
    public List<MoveView> moves() {
        return List.of(view("vm1"));
    }

    @Override
    public Optional<MoveView> find(String guest) {
        return moves().stream().filter(move -> move.guest().equals(guest)).findFirst();
    }

    @Override
    public void rescue(String guest, RescueWish wish) {
        asked.add("rescue " + guest + " " + wish.kind());
    }

    @Override
    public List<JsonNode> reports(Optional<String> guest) {
        return List.of(Json.object().put("guest", guest.orElse("any")));
    }

    @Override
    public Optional<JsonNode> report(String idOrGuest) {
        return idOrGuest.equals("5b2c") ? Optional.of(Json.object().put("id", "5b2c")) : Optional.empty();
    }

    @Override
    public void reclaim(String guest, boolean force) {
        asked.add("reclaim " + guest + " " + force);
    }
}
