package io.migrationd.migrationd.metrics;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;

/**
 * {@code /metrics} for Prometheus and {@code /healthz} for a supervisor, at loopback. Whoever may log in to the host
 * may read them; they name no guest and no peer. Threads {@code met-http-<n>}, stopped by {@link #close}.
 */
public final class MetricsServer implements AutoCloseable {
    /** Two, so that one client that dawdles does not hide the page from the others. */
    private static final int THREADS = 2;

    private static final int BACKLOG = 16;
    private static final String PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8";
    private static final String PLAIN_TEXT = "text/plain; charset=utf-8";

    private final HttpServer server;
    private final ExecutorService executor;

    /**
     * Binds and serves at once.
     *
     * @param address a loopback address; port 0 lets the kernel choose
     */
    public MetricsServer(InetSocketAddress address, Meters meters) throws IOException {
        if (!address.getAddress().isLoopbackAddress()) {
            throw new IllegalArgumentException("metrics are served at loopback only, not at " + address);
        }
        server = HttpServer.create(address, BACKLOG);
        executor = Executors.newFixedThreadPool(
                THREADS, Thread.ofPlatform().daemon().name("met-http-", 1).factory());
        server.setExecutor(executor);
        server.createContext("/metrics", exchange -> answer(exchange, "/metrics", PROMETHEUS_TEXT, meters::scrape));
        server.createContext("/healthz", exchange -> answer(exchange, "/healthz", PLAIN_TEXT, () -> "ok\n"));
        server.start();
    }

    /** Where it listens, with the real port. */
    public InetSocketAddress address() {
        return server.getAddress();
    }

    @Override
    public void close() {
        server.stop(0);
        executor.shutdownNow();
    }

    private static void answer(HttpExchange exchange, String path, String contentType, Supplier<String> content)
            throws IOException {
        try (exchange) {
            if (!exchange.getRequestMethod().equals("GET")) {
                exchange.getResponseHeaders().set("Allow", "GET");
                exchange.sendResponseHeaders(405, -1);
            } else if (!path.equals(exchange.getRequestURI().getPath())) {
                // A context also takes whatever begins with its path.
                send(exchange, 404, PLAIN_TEXT, "see /metrics\n");
            } else {
                send(exchange, 200, contentType, content.get());
            }
        }
    }

    private static void send(HttpExchange exchange, int status, String contentType, String content) throws IOException {
        byte[] body = content.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", contentType);
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
    }
}
