package io.migrationd.protocol.vmstate;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.random.RandomGenerator;

/** A random description together with a way to make random states that fit it. */
record RandomDescription(VmStateDescription<DynamicState> description, Fill fill) {
    private static final int MAX_DEPTH = 3;

    /** Fills the source's state; gives the destination what it has to know beforehand. */
    interface Fill {
        void fill(RandomGenerator random, DynamicState source, DynamicState destination);
    }

    private record Member(VmStateField<DynamicState> field, Fill fill) {}

    static RandomDescription make(RandomGenerator random) {
        return make(random, "r", 0, true);
    }

    /** {@code prepared}: the destination has this instance before it loads. */
    private static RandomDescription make(RandomGenerator random, String name, int depth, boolean prepared) {
        return make(random, name, depth, prepared, random.nextInt(4));
    }

    private static RandomDescription make(
            RandomGenerator random, String name, int depth, boolean prepared, int version) {
        List<VmStateField<DynamicState>> fields = new ArrayList<>();
        List<Fill> fills = new ArrayList<>();
        // An instance of nothing but subsections could take those of the next instance for its own.
        fields.add(DynamicFields.scalar(ScalarType.UINT8, "first"));
        fills.add((r, source, destination) -> source.set("first", r.nextInt(Elements.SUBSECTION + 1, 256)));
        int count = random.nextInt(1, 5);
        for (int i = 0; i < count; i++) {
            if (random.nextInt(4) == 0) {
                addCounted(random, "f" + i, fields, fills);
            } else {
                Member member = member(random, "f" + i, depth, prepared);
                fields.add(guarded(random, member.field()));
                fills.add(member.fill());
            }
        }
        List<VmStateDescription<DynamicState>> subsections = new ArrayList<>();
        for (int i = 0; depth < MAX_DEPTH && i < random.nextInt(3); i++) {
            RandomDescription subsection = make(random, name + "/s" + i, MAX_DEPTH, prepared);
            subsections.add(optional(subsection.description()));
            String flag = subsection.description().name();
            fills.add((r, source, destination) -> {
                if (r.nextBoolean()) {
                    source.set(flag, 1);
                    subsection.fill().fill(r, source.child(flag + ".own"), destination.child(flag + ".own"));
                }
            });
        }
        return new RandomDescription(
                VmStateDescription.<DynamicState>named(name, version)
                        .minimumVersion(0)
                        .fields(fields)
                        .subsections(subsections)
                        .build(),
                (r, source, destination) -> fills.forEach(f -> f.fill(r, source, destination)));
    }

    /** A subsection's fields are members of a child: their names are also those of the parent's. */
    private static VmStateDescription<DynamicState> optional(VmStateDescription<DynamicState> subsection) {
        String flag = subsection.name();
        return VmStateDescription.<DynamicState>named(flag, subsection.version())
                .minimumVersion(0)
                .fields(DynamicFields.struct(flag + ".own", subsection))
                .needed(s -> s.number(flag) != 0)
                .preLoad(s -> s.set(flag, 1))
                .build();
    }

    private static VmStateField<DynamicState> guarded(RandomGenerator random, VmStateField<DynamicState> field) {
        boolean there = random.nextBoolean();
        return switch (random.nextInt(6)) {
            case 0 -> field.element() instanceof ScalarElement ? field.since(random.nextInt(5)) : field;
            case 1 -> field.when((s, version) -> there);
            default -> field;
        };
    }

    private static void addCounted(
            RandomGenerator random, String name, List<VmStateField<DynamicState>> fields, List<Fill> fills) {
        String counter = name + "n";
        Count<DynamicState> count = DynamicFields.countOf(counter, 9);
        fields.add(DynamicFields.scalar(random.nextBoolean() ? ScalarType.UINT8 : ScalarType.INT32, counter));
        fields.add(
                switch (random.nextInt(4)) {
                    case 0 -> DynamicFields.buffer(name, count);
                    case 1 -> DynamicFields.bitmap(name, count);
                    case 2 -> Fields.unused(name, count);
                    default -> DynamicFields.array(ScalarType.UINT16, name, count);
                });
        fills.add((r, source, destination) -> source.set(counter, r.nextInt(10)));
        if (fields.getLast().element().typeName().equals("buffer")) {
            fills.add((r, source, destination) -> source.set(name, randomBytes(r, 9)));
        }
        if (fields.getLast().element().typeName().equals("bitmap")) {
            fills.add((r, source, destination) -> source.set(name, BitSet.valueOf(randomBytes(r, 1))));
        }
    }

    private static byte[] randomBytes(RandomGenerator random, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return bytes;
    }

    private static Member member(RandomGenerator random, String name, int depth, boolean prepared) {
        return switch (random.nextInt(depth < MAX_DEPTH ? 8 : 3)) {
            case 0, 1 -> number(random, name, prepared);
            case 2 ->
                new Member(DynamicFields.byteArray(name, 8), (r, source, d) -> source.set(name, randomBytes(r, 5)));
            case 3 -> list(name, element(random, depth));
            case 4 -> tree(name, element(random, depth));
            case 5 -> pointers(random, name, depth, prepared);
            default -> structs(random, name, depth, prepared);
        };
    }

    /** Elements of lists and trees are loaded in the version of the field that holds them, which is 0 here. */
    private static RandomDescription element(RandomGenerator random, int depth) {
        return make(random, uniqueName(random), depth + 1, false, 0);
    }

    /** A description whose name begins another's would take the other's subsections for its own. */
    private static String uniqueName(RandomGenerator random) {
        return "x%016x".formatted(random.nextLong());
    }

    private static Member number(RandomGenerator random, String name, boolean prepared) {
        List<ScalarType> types = List.of(ScalarType.values());
        ScalarType type = types.get(random.nextInt(types.size()));
        if (!type.isStored()) {
            return new Member(
                    DynamicFields.scalar(prepared ? type : ScalarType.INT32, name), (r, source, destination) -> {
                        int value = r.nextInt(100);
                        source.set(name, value);
                        destination.set(name, value);
                    });
        }
        int count = random.nextInt(1, 4);
        return new Member(DynamicFields.array(type, name, Count.fixed(count)), (r, source, d) -> {
            for (int i = 0; i < count; i++) {
                source.set(name, i, r.nextLong());
            }
        });
    }

    private static Member list(String name, RandomDescription element) {
        return new Member(DynamicFields.tailQueue(name, element.description()), (r, source, d) -> {
            for (int i = r.nextInt(3); i > 0; i--) {
                source.list(name).add(filled(r, element));
            }
        });
    }

    private static Member tree(String name, RandomDescription value) {
        return new Member(DynamicFields.tree(name, value.description()), (r, source, d) -> {
            for (int i = r.nextInt(3); i > 0; i--) {
                source.tree(name).put(r.nextLong(), filled(r, value));
            }
        });
    }

    private static DynamicState filled(RandomGenerator random, RandomDescription description) {
        DynamicState state = new DynamicState();
        description.fill().fill(random, state, new DynamicState());
        return state;
    }

    private static Member pointers(RandomGenerator random, String name, int depth, boolean prepared) {
        boolean known = prepared && random.nextBoolean();
        RandomDescription element = make(random, uniqueName(random), depth + 1, known);
        Count<DynamicState> count = Count.fixed(4);
        VmStateField<DynamicState> field = known
                ? DynamicFields.pointers(name, count, element.description()).when((s, version) -> true)
                : DynamicFields.allocatedPointers(name, count, element.description());
        return new Member(field, (r, source, destination) -> {
            for (int i = 0; i < 4; i++) {
                if (r.nextBoolean()) {
                    DynamicState target = known ? destination.child(name, i) : new DynamicState();
                    element.fill().fill(r, source.child(name, i), target);
                }
            }
        });
    }

    /** Arrays get a presence test: a compressed description shows only the first of elements that may differ. */
    private static Member structs(RandomGenerator random, String name, int depth, boolean prepared) {
        RandomDescription element = make(random, uniqueName(random), depth + 1, prepared);
        int count = random.nextInt(1, 3);
        VmStateField<DynamicState> field = DynamicFields.structArray(name, Count.fixed(count), element.description());
        return new Member(field.when((s, version) -> true), (r, source, destination) -> {
            for (int i = 0; i < count; i++) {
                element.fill().fill(r, source.child(name, i), destination.child(name, i));
            }
        });
    }
}
