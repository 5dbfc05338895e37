package io.migrationd.it.scenario;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.fault.LinkProxy;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.util.concurrent.TimeUnit;

/** A link proxy between two ends that speak in migration URIs; its own end is a TCP port of this machine. */
final class BreakableLink implements AutoCloseable {
    private final LinkProxy proxy;

    private BreakableLink(LinkProxy proxy) {
        this.proxy = proxy;
    }

    /** Every connection to {@link #uri} is one to {@code uri}. */
    static BreakableLink to(String uri) throws IOException {
        InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        return new BreakableLink(LinkProxy.start("peers", any, addressOf(uri)));
    }

    /** Later connections go to {@code uri}. */
    void retarget(String uri) {
        proxy.retarget(addressOf(uri));
    }

    /** Where to connect to. */
    String uri() {
        if (proxy.address() instanceof InetSocketAddress tcp) {
            return "tcp:127.0.0.1:" + tcp.getPort();
        }
        throw new IllegalStateException("no URI for " + proxy.address());
    }

    /** Lets so many bytes per second pass to the destination. */
    void limitRate(long bytesPerSecond) {
        proxy.limitRate(Direction.FORWARD, bytesPerSecond);
    }

    void unlimitRate() {
        proxy.unlimitRate(Direction.FORWARD);
    }

    /** Takes connections again. */
    void heal() {
        proxy.heal();
    }

    /**
     * Resets all connections when so many more bytes have gone to the destination; returns when that is done. New ones
     * are refused until {@link #heal}.
     */
    void cutAfter(long moreBytes) throws Exception {
        proxy.refuse();
        proxy.cutAfter(Direction.FORWARD, proxy.bytes(Direction.FORWARD) + moreBytes, Cut.RESET)
                .get(Scenario.DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
    }

    private static SocketAddress addressOf(String uri) {
        if (uri.startsWith("unix:")) {
            return UnixDomainSocketAddress.of(uri.substring("unix:".length()));
        }
        int port = Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1));
        return new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
    }

    @Override
    public void close() throws IOException {
        proxy.close();
    }
}
