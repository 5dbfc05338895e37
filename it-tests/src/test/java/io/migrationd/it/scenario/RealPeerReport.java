package io.migrationd.it.scenario;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;
import org.opentest4j.TestAbortedException;

/**
 * Counts the scenarios with real peers and prints one line for each and one at the end: {@code real-peer scenarios: N
 * run, M skipped (reason: M)}. With {@code MIGRATIOND_REQUIRE_PEERS=true} in the environment (or
 * {@code migrationd.require-peers} as system property) a skipped scenario fails instead.
 */
public final class RealPeerReport
        implements BeforeAllCallback, AfterTestExecutionCallback, TestExecutionExceptionHandler {
    private static final String REQUIRE = "MIGRATIOND_REQUIRE_PEERS";
    private static final ExtensionContext.Namespace NAMESPACE = ExtensionContext.Namespace.create(RealPeerReport.class);

    @Override
    public void beforeAll(ExtensionContext context) {
        totals(context);
    }

    @Override
    public void afterTestExecution(ExtensionContext context) {
        String scenario = context.getRequiredTestClass().getSimpleName() + " " + context.getDisplayName();
        Throwable failure = context.getExecutionException().orElse(null);
        if (failure == null) {
            totals(context).run.incrementAndGet();
            print("real-peer scenario: " + scenario + ": passed");
        } else if (failure instanceof TestAbortedException || failure.getCause() instanceof TestAbortedException) {
            totals(context).skipped.merge(String.valueOf(failure.getMessage()), 1, Integer::sum);
            print("real-peer scenario: " + scenario + ": skipped: " + failure.getMessage());
        } else {
            totals(context).run.incrementAndGet();
            print("real-peer scenario: " + scenario + ": FAILED");
        }
    }

    @Override
    public void handleTestExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        if (failure instanceof TestAbortedException skipped && peersAreRequired()) {
            throw new AssertionError(REQUIRE + " is set, but: " + skipped.getMessage(), skipped);
        }
        throw failure;
    }

    private static boolean peersAreRequired() {
        return Boolean.parseBoolean(System.getenv(REQUIRE)) || Boolean.getBoolean("migrationd.require-peers");
    }

    /** The root store closes them after the last test class. */
    private static Totals totals(ExtensionContext context) {
        return context.getRoot().getStore(NAMESPACE).computeIfAbsent(Totals.class, key -> new Totals(), Totals.class);
    }

    @SuppressWarnings("SystemOut") // The count is for the log of the build.
    private static void print(String line) {
        System.out.println(line);
    }

    private static final class Totals implements AutoCloseable {
        final AtomicInteger run = new AtomicInteger();
        final Map<String, Integer> skipped = new ConcurrentHashMap<>();

        @Override
        public void close() {
            int count = skipped.values().stream().mapToInt(Integer::intValue).sum();
            String reasons = new TreeMap<>(skipped)
                    .entrySet().stream()
                            .map(reason -> reason.getKey() + ": " + reason.getValue())
                            .collect(Collectors.joining("; "));
            print("real-peer scenarios: %d run, %d skipped%s"
                    .formatted(run.get(), count, reasons.isEmpty() ? "" : " (" + reasons + ")"));
        }
    }
}
