package io.migrationd.migrationd.sample;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.process.GuestChannel;
import io.migrationd.migrationd.guest.process.GuestMessage;
import io.migrationd.migrationd.guest.process.GuestMessage.Check;
import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Refused;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import io.migrationd.migrationd.guest.process.GuestMessage.SectionHeader;
import io.migrationd.migrationd.guest.process.GuestMessageCodec;
import io.migrationd.migrationd.guest.process.GuestMode;
import io.migrationd.migrationd.sample.SampleMachine.RefusedException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One connection of the guest to its daemon. The calling thread serves requests, another sends reports. */
final class SampleConnection {
    private static final Logger log = LoggerFactory.getLogger(SampleConnection.class);
    private static final byte[] NO_PAYLOAD = {};
    private static final long REPORT_MILLIS = 1000;
    private static final long VERIFICATION_POLL_MILLIS = 10;

    private final SampleMachine machine;
    private final GuestChannel channel;
    private final boolean exitOnRelease;
    /** Used by the reporting thread only. */
    private boolean verificationReported;

    private long lastReportNanos;

    private SampleConnection(SampleMachine machine, GuestChannel channel, boolean exitOnRelease) {
        this.machine = machine;
        this.channel = channel;
        this.exitOnRelease = exitOnRelease;
    }

    /** The daemon does not want this guest. */
    static final class RefusedByDaemonException extends Exception {
        RefusedByDaemonException(String reason) {
            super(reason);
        }
    }

    /**
     * Connects and serves until the connection ends or the guest is released and wants to exit.
     *
     * @param onAttached called when the daemon has taken the guest, with what ends the connection
     */
    static void serve(SampleMachine machine, Path socket, boolean exitOnRelease, Consumer<Runnable> onAttached)
            throws IOException, RefusedByDaemonException, InterruptedException {
        try (GuestChannel channel = GuestChannel.connect(socket)) {
            channel.writeHello(machine.hello(), machine.descriptors());
            GuestMessage answer = channel.readMessage().message();
            switch (answer) {
                case Ready _ -> onAttached.accept(channel::shutdown);
                case Refused(String reason) -> throw new RefusedByDaemonException(reason);
                default -> throw new IOException("the daemon answered the hello with " + answer);
            }
            new SampleConnection(machine, channel, exitOnRelease).serve();
        }
    }

    private void serve() throws IOException, InterruptedException {
        try (ScheduledExecutorService reports = Executors.newSingleThreadScheduledExecutor(
                Thread.ofPlatform().name("sample-report").factory())) {
            var _ = reports.scheduleWithFixedDelay(
                    this::reportIfDue, 0, VERIFICATION_POLL_MILLIS, TimeUnit.MILLISECONDS);
            try {
                boolean goOn = true;
                while (goOn) {
                    goOn = answerNext();
                }
            } finally {
                channel.shutdown();
                reports.shutdownNow();
            }
        }
    }

    /** Each second, and when everything has been verified. */
    private void reportIfDue() {
        boolean verified = machine.isVerified();
        boolean news = verified && !verificationReported;
        long now = System.nanoTime();
        boolean due = lastReportNanos == 0 || now - lastReportNanos >= TimeUnit.MILLISECONDS.toNanos(REPORT_MILLIS);
        if (news || due) {
            verificationReported = verified;
            lastReportNanos = now;
            try {
                write(new Check(machine.report()), NO_PAYLOAD);
            } catch (IOException e) {
                // The serving thread sees the same and decides.
                log.atDebug().setCause(e).log("a report was not sent");
            }
        }
    }

    private boolean answerNext() throws IOException, InterruptedException {
        GuestMessageCodec.Line line = channel.readMessage();
        byte[] payload = channel.readPayload(line.payloadBytes());
        if (!(line.message() instanceof Request request)) {
            throw new IOException("the daemon sent " + line.message());
        }
        try {
            answer(request, payload);
        } catch (RefusedException e) {
            write(Reply.failed(request.id(), String.valueOf(e.getMessage())), NO_PAYLOAD);
        }
        return !(exitOnRelease && machine.mode() == GuestMode.RELEASED);
    }

    private void answer(Request request, byte[] payload) throws IOException, RefusedException, InterruptedException {
        switch (request.verb()) {
            case STOP -> machine.stop();
            case RESUME -> machine.resume();
            case LOAD -> machine.load(split(request.sections(), payload));
            case RUN -> machine.run(request.start());
            case DISCARD -> machine.discard();
            case RELEASE -> machine.release();
            case SAVE -> {
                writeSections(request.id(), machine.save());
                return;
            }
            case STATUS -> {
                write(new Reply(request.id(), Optional.empty(), Optional.of(machine.mode()), List.of()), NO_PAYLOAD);
                return;
            }
        }
        write(Reply.done(request.id()), NO_PAYLOAD);
    }

    private void writeSections(long id, List<DeviceSection> sections) throws IOException {
        List<SectionHeader> headers = new ArrayList<>();
        ByteArrayOutputStream payload = new ByteArrayOutputStream();
        for (DeviceSection section : sections) {
            headers.add(
                    new SectionHeader(section.idstr(), section.instanceId(), section.version(), section.body().length));
            payload.writeBytes(section.body());
        }
        write(new Reply(id, Optional.empty(), Optional.empty(), headers), payload.toByteArray());
    }

    private static List<DeviceSection> split(List<SectionHeader> headers, byte[] payload) {
        List<DeviceSection> sections = new ArrayList<>();
        int at = 0;
        for (SectionHeader header : headers) {
            byte[] body = Arrays.copyOfRange(payload, at, at + header.lengthBytes());
            sections.add(new DeviceSection(header.name(), header.instanceId(), header.version(), body, null));
            at += header.lengthBytes();
        }
        return sections;
    }

    /** Replies and reports come from two threads. */
    private synchronized void write(GuestMessage message, byte[] payload) throws IOException {
        channel.write(message, payload);
    }
}
