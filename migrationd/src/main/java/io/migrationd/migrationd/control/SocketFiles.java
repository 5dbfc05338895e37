package io.migrationd.migrationd.control;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import org.newsclub.net.unix.AFUNIXSelectorProvider;
import org.newsclub.net.unix.AFUNIXServerSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Socket files outlive a process that was killed. One that nobody answers on is removed; one that somebody answers on
 * belongs to another daemon and is an error.
 */
final class SocketFiles {
    private static final Logger log = LoggerFactory.getLogger(SocketFiles.class);

    private static final int BACKLOG = 64;
    private static final int FILE_TYPE = 0170000;
    private static final int SOCKET = 0140000;

    private SocketFiles() {}

    /** A listening socket in place of a dead one. Closing it removes the file. */
    static AFUNIXServerSocketChannel bind(Path path, int mode) throws IOException {
        removeIfStale(path);
        AFUNIXServerSocketChannel channel = AFUNIXSelectorProvider.provider().openServerSocketChannel();
        try {
            channel.configureBlocking(false);
            channel.bind(AFUNIXSocketAddress.of(path), BACKLOG);
            Files.setAttribute(path, "unix:mode", mode);
            return channel;
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw new IOException("cannot listen at " + path, e);
        }
    }

    /** Removes the dead sockets of a directory; guests that are gone left them. */
    static void removeStale(Path directory) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.qmp")) {
            for (Path file : files) {
                removeIfStale(file);
            }
        }
    }

    private static void removeIfStale(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        int mode = (int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        if ((mode & FILE_TYPE) != SOCKET) {
            throw new IOException(path + " is in the way: it is not a socket");
        }
        if (answers(path)) {
            throw new IOException(path + " is in use: another process answers there");
        }
        Files.delete(path);
        log.atInfo().addKeyValue("socket", path).log("removed a socket that nobody answers on");
    }

    /** Does not block: a full backlog is an answer, too. */
    private static boolean answers(Path path) throws IOException {
        try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            probe.configureBlocking(false);
            probe.connect(UnixDomainSocketAddress.of(path));
            return true;
        } catch (ConnectException e) {
            return false;
        }
    }
}
