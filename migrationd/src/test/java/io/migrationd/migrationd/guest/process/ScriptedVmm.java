package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.function.Predicate;

/** One connection of a {@link FakeVmm}, with a thread that answers each request with success until it shall hang up. */
final class ScriptedVmm implements AutoCloseable {
    private final GuestChannel channel;
    private final Predicate<GuestVerb> hangUpBefore;
    private final List<GuestVerb> heard = new ArrayList<>();
    private final Thread thread = Thread.ofPlatform().name("scripted-vmm").unstarted(this::serve);
    private final CountDownLatch ended = new CountDownLatch(1);

    private ScriptedVmm(GuestChannel channel, Predicate<GuestVerb> hangUpBefore) {
        this.channel = channel;
        this.hangUpBefore = hangUpBefore;
    }

    /** Says hello and answers everything. */
    static ScriptedVmm attach(FakeVmm vmm, Path socket, GuestMode mode) throws Exception {
        return attach(vmm, socket, mode, verb -> false);
    }

    /** Hears such a request, and closes the connection instead of an answer. */
    static ScriptedVmm attach(FakeVmm vmm, Path socket, GuestMode mode, Predicate<GuestVerb> hangUpBefore)
            throws Exception {
        GuestChannel channel = GuestChannel.connect(socket);
        channel.writeHello(vmm.hello(mode), vmm.descriptors());
        GuestMessage answer = channel.readMessage().message();
        if (!(answer instanceof Ready)) {
            channel.close();
            throw new IOException(answer.toString());
        }
        ScriptedVmm scripted = new ScriptedVmm(channel, hangUpBefore);
        scripted.thread.start();
        return scripted;
    }

    private void serve() {
        try {
            while (true) {
                GuestMessageCodec.Line line = channel.readMessage();
                channel.readPayload(line.payloadBytes());
                Request request = (Request) line.message();
                synchronized (heard) {
                    heard.add(request.verb());
                }
                if (hangUpBefore.test(request.verb())) {
                    channel.shutdown();
                    return;
                }
                channel.write(Reply.done(request.id()), new byte[0]);
            }
        } catch (IOException e) {
            // The end of the connection ends the script.
            channel.shutdown();
        } finally {
            ended.countDown();
        }
    }

    /** What it was asked so far. */
    List<GuestVerb> heard() {
        synchronized (heard) {
            return List.copyOf(heard);
        }
    }

    /** Waits until the connection has ended. */
    void awaitEnd() throws InterruptedException {
        ended.await();
    }

    @Override
    public void close() {
        channel.shutdown();
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        channel.close();
    }
}
