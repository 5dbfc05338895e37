package io.migrationd.migrationd.move;

import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Breadth-first search over all states of a {@link ModelWorld}. States are kept as fingerprints of 64 bits of exact
 * part numbers (a collision in a few million states is a matter of one in a million), edges and parents as numbers.
 */
final class ModelChecker {
    /** What is wrong with a state; empty if nothing is. */
    interface Rule {
        Optional<String> violation(ModelWorld world, boolean quiescent);
    }

    /** What a search found. */
    record Result(
            int states,
            long transitions,
            int depth,
            int quiescent,
            long millis,
            Optional<String> violation,
            boolean complete) {
        @Override
        public String toString() {
            return "%,d states, %,d transitions, depth %d, %,d quiescent, %d ms%s"
                    .formatted(states, transitions, depth, quiescent, millis, complete ? "" : ", bounded");
        }
    }

    private final ModelWorld.Setting setting;
    private final Rule rule;
    private final int maxDepth;
    private final Consumer<ModelWorld> visitor;

    private final Map<Object, Integer> partNumbers = new HashMap<>();
    private final Map<String, Integer> labelNumbers = new HashMap<>();
    private final List<String> labels = new ArrayList<>();
    private long[] keys = new long[1 << 16];
    private int[] ids = new int[1 << 16];
    private int states;
    private int[] parents = new int[1 << 15];
    private int[] parentLabels = new int[1 << 15];
    private int[] edgeStart = new int[1 << 15];
    private int[] edges = new int[1 << 16];
    private int edgeCount;

    ModelChecker(ModelWorld.Setting setting, int maxDepth, Rule rule, Consumer<ModelWorld> visitor) {
        this.setting = setting;
        this.maxDepth = maxDepth;
        this.rule = rule;
        this.visitor = visitor;
    }

    Result search() {
        long began = System.nanoTime();
        ArrayDeque<ModelWorld> level = new ArrayDeque<>();
        ModelWorld first = new ModelWorld(setting.plan());
        number(first, -1, 0);
        level.add(first);
        long transitions = 0;
        int depth = 0;
        int quiescent = 0;
        List<Integer> quiet = new ArrayList<>();
        int at = 0;
        boolean complete = true;
        while (!level.isEmpty()) {
            if (depth > maxDepth) {
                complete = false;
                break;
            }
            ArrayDeque<ModelWorld> deeper = new ArrayDeque<>();
            for (ModelWorld world : level) {
                int id = at++;
                visitor.accept(world);
                List<ModelWorld.Next> successors;
                try {
                    successors = world.successors(setting);
                } catch (IllegalTransitionException e) {
                    return result(transitions, depth, quiescent, began, trace(id, "illegal: " + e.getMessage()), false);
                }
                setEdgeStart(id);
                boolean rests = true;
                for (ModelWorld.Next next : successors) {
                    transitions++;
                    int known = states;
                    int number = number(next.world(), id, label(next.label()));
                    if (number == known) {
                        deeper.add(next.world());
                    }
                    boolean byHand = next.label().contains("Cancel[");
                    if (!next.fault() && !byHand) {
                        rests &= number == id;
                        edge(number);
                    }
                }
                Optional<String> violation = rule.violation(world, rests);
                if (violation.isPresent()) {
                    return result(transitions, depth, quiescent, began, trace(id, violation.get()), false);
                }
                if (rests) {
                    quiescent++;
                    quiet.add(id);
                }
            }
            level = deeper;
            depth++;
        }
        setEdgeStart(at);
        Optional<String> livelock = complete ? livelock(quiet) : Optional.empty();
        return result(transitions, depth - 1, quiescent, began, livelock.orElse(null), complete);
    }

    private Result result(
            long transitions,
            int depth,
            int quiescent,
            long began,
            @org.jspecify.annotations.Nullable String violation,
            boolean complete) {
        return new Result(
                states,
                transitions,
                depth,
                quiescent,
                (System.nanoTime() - began) / 1_000_000,
                Optional.ofNullable(violation),
                complete);
    }

    /** From every state one without anything left to do can be reached without another fault. */
    private Optional<String> livelock(List<Integer> quiet) {
        int[] degree = new int[states + 1];
        for (int i = 0; i < edgeCount; i++) {
            degree[edges[i] + 1]++;
        }
        for (int i = 0; i < states; i++) {
            degree[i + 1] += degree[i];
        }
        int[] back = new int[edgeCount];
        int[] fill = degree.clone();
        for (int from = 0; from < states; from++) {
            for (int i = edgeStart[from]; i < edgeStart[from + 1]; i++) {
                back[fill[edges[i]]++] = from;
            }
        }
        boolean[] good = new boolean[states];
        ArrayDeque<Integer> open = new ArrayDeque<>(quiet);
        quiet.forEach(id -> good[id] = true);
        while (!open.isEmpty()) {
            int id = open.poll();
            for (int i = degree[id]; i < degree[id + 1]; i++) {
                if (!good[back[i]]) {
                    good[back[i]] = true;
                    open.add(back[i]);
                }
            }
        }
        for (int id = 0; id < states; id++) {
            if (!good[id]) {
                return Optional.of(trace(id, "never comes to rest"));
            }
        }
        return Optional.empty();
    }

    private String trace(int id, String what) {
        List<String> steps = new ArrayList<>();
        for (int i = id; parents[i] >= 0; i = parents[i]) {
            steps.add(labels.get(parentLabels[i]));
        }
        Collections.reverse(steps);
        StringBuilder text = new StringBuilder(what + " after " + steps.size() + " steps:");
        for (int i = 0; i < steps.size(); i++) {
            text.append("%n  %2d %s".formatted(i + 1, steps.get(i)));
        }
        return text.toString();
    }

    private int label(String label) {
        return labelNumbers.computeIfAbsent(label, l -> {
            labels.add(l);
            return labels.size() - 1;
        });
    }

    /** The number of a state; a new one if it was not seen before. */
    private int number(ModelWorld world, int parent, int label) {
        long key = 0x9E3779B97F4A7C15L;
        for (Object part : world.parts()) {
            int number = part instanceof Integer i ? i : partNumbers.computeIfAbsent(part, p -> partNumbers.size());
            key = mix(key * 31 + number + 1);
        }
        key = key == 0 ? 1 : key;
        int slot = (int) (key >>> 20) & (keys.length - 1);
        while (keys[slot] != 0) {
            if (keys[slot] == key) {
                return ids[slot];
            }
            slot = (slot + 1) & (keys.length - 1);
        }
        keys[slot] = key;
        ids[slot] = states;
        if (states == parents.length) {
            parents = Arrays.copyOf(parents, states * 2);
            parentLabels = Arrays.copyOf(parentLabels, states * 2);
        }
        parents[states] = parent;
        parentLabels[states] = label;
        states++;
        if (states * 2 > keys.length) {
            grow();
        }
        return states - 1;
    }

    private void grow() {
        long[] oldKeys = keys;
        int[] oldIds = ids;
        keys = new long[oldKeys.length * 2];
        ids = new int[oldKeys.length * 2];
        for (int i = 0; i < oldKeys.length; i++) {
            if (oldKeys[i] != 0) {
                int slot = (int) (oldKeys[i] >>> 20) & (keys.length - 1);
                while (keys[slot] != 0) {
                    slot = (slot + 1) & (keys.length - 1);
                }
                keys[slot] = oldKeys[i];
                ids[slot] = oldIds[i];
            }
        }
    }

    private void setEdgeStart(int id) {
        if (id >= edgeStart.length) {
            edgeStart = Arrays.copyOf(edgeStart, edgeStart.length * 2);
        }
        edgeStart[id] = edgeCount;
    }

    private void edge(int to) {
        if (edgeCount == edges.length) {
            edges = Arrays.copyOf(edges, edges.length * 2);
        }
        edges[edgeCount++] = to;
    }

    private static long mix(long z) {
        z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
        return z ^ (z >>> 31);
    }
}
