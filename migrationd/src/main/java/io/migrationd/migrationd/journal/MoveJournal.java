package io.migrationd.migrationd.journal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.sqlite.JDBC;

/**
 * The journal of moves: who owns which guest, which moves are under way, what they have left behind, and their
 * timelines. What a method has written, but for the timeline, is on stable storage when it returns: write-ahead log
 * with {@code synchronous=FULL}, because a grant that is sent after a release that a power cut takes back means two
 * running guests. One process opens it at a time. Thread-safe; calls block for the disk, so never from an event loop.
 */
public final class MoveJournal implements AutoCloseable {
    /** Of the tables; a newer one is refused. */
    public static final int SCHEMA = 1;

    private static final int ENDED_KEPT = 200;
    private static final int TIMELINE_KEPT = 2000;
    private static final String TABLES = """
            CREATE TABLE ownership (guest TEXT PRIMARY KEY, name TEXT NOT NULL, epoch INTEGER NOT NULL,
              state TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
            CREATE TABLE moves (id TEXT PRIMARY KEY, role TEXT NOT NULL, guest TEXT NOT NULL, name TEXT NOT NULL,
              peers TEXT NOT NULL, phase TEXT NOT NULL, state TEXT NOT NULL, ended INTEGER NOT NULL,
              started INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT;
            CREATE INDEX moves_open ON moves (ended, updated);
            CREATE TABLE steps (id INTEGER PRIMARY KEY, move TEXT NOT NULL REFERENCES moves (id) ON DELETE CASCADE,
              kind TEXT NOT NULL, detail TEXT NOT NULL, undone INTEGER NOT NULL) STRICT;
            CREATE INDEX steps_of ON steps (move);
            CREATE TABLE timeline (id INTEGER PRIMARY KEY, move TEXT NOT NULL REFERENCES moves (id) ON DELETE CASCADE,
              at INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
            CREATE INDEX timeline_of ON timeline (move);
            """;

    private final Path file;
    private final Connection database; // guarded by this
    private Until outlives = Until.POWER_IS_CUT; // guarded by this

    private MoveJournal(Path file, Connection database) {
        this.file = file;
        this.database = database;
    }

    /**
     * Opens a journal, or makes one where none is.
     *
     * @param file {@code moves.db} in the state directory
     * @param scratch where SQLite's native library is unpacked: must allow execution; {@code org.sqlite.tmpdir} wins
     * @throws JournalException if it is damaged, of a newer daemon, or another process has it open; it is never
     *     replaced by an empty one, since that would forget who owns what
     */
    public static MoveJournal open(Path file, Path scratch) throws IOException {
        if (System.getProperty("org.sqlite.tmpdir") == null) {
            Files.createDirectories(scratch);
            System.setProperty("org.sqlite.tmpdir", scratch.toString());
        }
        Path directory = file.toAbsolutePath().getParent();
        if (directory != null) {
            Files.createDirectories(directory);
        }
        boolean fresh = !Files.exists(file);
        if (fresh) {
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        } else if (Files.size(file) == 0 && Files.exists(file.resolveSibling(file.getFileName() + "-wal"))) {
            throw new JournalException("journal %s is empty, but its log is not".formatted(file));
        }
        @Nullable Connection opened = null;
        try {
            opened = connect(file);
            MoveJournal journal = new MoveJournal(file, opened);
            journal.prepare();
            DurableFiles.syncDirectoryOf(file);
            return journal;
        } catch (SQLException e) {
            JournalException failure = new JournalException(
                    "journal %s can't be opened (%s); restore it or move it away by hand"
                            .formatted(file, e.getMessage()),
                    e);
            close(opened, failure);
            throw failure;
        } catch (IOException e) {
            close(opened, e);
            throw e;
        }
    }

    private static Connection connect(Path file) throws SQLException {
        Connection connection = new JDBC().connect("jdbc:sqlite:" + file, new Properties());
        if (connection == null) {
            throw new SQLException("no driver for " + file);
        }
        return connection;
    }

    private static void close(@Nullable Connection opened, Exception cause) {
        if (opened != null) {
            try {
                opened.close();
            } catch (SQLException e) {
                cause.addSuppressed(e);
            }
        }
    }

    private void prepare() throws SQLException, IOException {
        try (Statement sql = database.createStatement()) {
            sql.execute("PRAGMA busy_timeout=2000");
            sql.execute("PRAGMA locking_mode=EXCLUSIVE");
            sql.execute("PRAGMA journal_mode=WAL");
            sql.execute("PRAGMA synchronous=FULL");
            sql.execute("PRAGMA foreign_keys=ON");
            sql.execute("PRAGMA cache_size=-512");
            sql.execute("PRAGMA wal_autocheckpoint=256");
            int version = number(sql, "PRAGMA user_version");
            if (version > SCHEMA) {
                throw new JournalException(
                        "journal %s has version %d, this daemon knows %d".formatted(file, version, SCHEMA));
            }
            if (version == 0) {
                database.setAutoCommit(false);
                for (String table : TABLES.split(";\n", 0)) {
                    sql.execute(table);
                }
                sql.execute("PRAGMA user_version=" + SCHEMA);
                database.commit();
                database.setAutoCommit(true);
            }
            try (ResultSet check = sql.executeQuery("PRAGMA quick_check(1)")) {
                String word = check.next() ? check.getString(1) : "no answer";
                if (!"ok".equals(word)) {
                    throw new JournalException("journal %s is damaged: %s".formatted(file, word));
                }
            }
            // Takes the lock now: a second daemon fails here, not at its first release.
            sql.execute("BEGIN IMMEDIATE");
            sql.execute("COMMIT");
        }
        database.setAutoCommit(false);
    }

    private static int number(Statement sql, String query) throws SQLException {
        try (ResultSet row = sql.executeQuery(query)) {
            return row.next() ? row.getInt(1) : 0;
        }
    }

    /** A move begins, or is at another point, together with the right to run its guest: both or neither. */
    public synchronized void write(MoveRow move, OwnershipRow ownership) throws JournalException {
        run("write move " + move.id(), () -> {
            update(
                    "INSERT INTO moves VALUES (?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET peers=excluded.peers,"
                            + " phase=excluded.phase, state=excluded.state, ended=excluded.ended, updated=excluded.updated",
                    move.id(),
                    move.role(),
                    move.guest(),
                    move.name(),
                    String.join("\n", move.peers()),
                    move.phase(),
                    move.state(),
                    move.ended() ? 1 : 0,
                    move.started().toEpochMilli(),
                    move.updated().toEpochMilli());
            put(ownership);
            if (move.ended()) {
                update("DELETE FROM moves WHERE id IN (SELECT id FROM moves WHERE ended=1 ORDER BY updated DESC, id"
                        + " LIMIT -1 OFFSET " + ENDED_KEPT + ")");
            }
        });
    }

    /** The right to run a guest, without a move: a guest that was defined here, or an operator's word. */
    public synchronized void write(OwnershipRow ownership) throws JournalException {
        run("write ownership of " + ownership.guest(), () -> put(ownership));
    }

    private void put(OwnershipRow row) throws SQLException {
        update(
                "INSERT INTO ownership VALUES (?,?,?,?,?) ON CONFLICT (guest) DO UPDATE SET name=excluded.name,"
                        + " epoch=excluded.epoch, state=excluded.state, since=excluded.since",
                row.guest(),
                row.name(),
                row.epoch(),
                row.state(),
                row.since().toEpochMilli());
    }

    /** Who may run a guest; empty if this host never had to do with it. */
    public synchronized Optional<OwnershipRow> ownership(UUID guest) throws JournalException {
        return ask(
                        "SELECT guest, name, epoch, state, since FROM ownership WHERE guest=?",
                        MoveJournal::ownershipOf,
                        guest)
                .stream()
                .findFirst();
    }

    /** One move. */
    public synchronized Optional<MoveRow> move(UUID id) throws JournalException {
        return ask("SELECT * FROM moves WHERE id=?", MoveJournal::moveOf, id).stream()
                .findFirst();
    }

    /** Moves that a restarted daemon goes on with, oldest first. */
    public synchronized List<MoveRow> openMoves() throws JournalException {
        return ask("SELECT * FROM moves WHERE ended=0 ORDER BY started, id", MoveJournal::moveOf);
    }

    /** Moves that are over, newest first; 200 are kept. */
    public synchronized List<MoveRow> endedMoves(int limit) throws JournalException {
        return ask("SELECT * FROM moves WHERE ended=1 ORDER BY updated DESC, id LIMIT ?", MoveJournal::moveOf, limit);
    }

    /**
     * Before something is done that a dead daemon would leave behind.
     *
     * @return the step's number, for {@link #undone}
     */
    public synchronized long step(UUID move, String kind, String detail) throws JournalException {
        long[] id = new long[1];
        run("write a step of move " + move, () -> {
            try (PreparedStatement sql = database.prepareStatement(
                    "INSERT INTO steps (move, kind, detail, undone) VALUES (?,?,?,0) RETURNING id")) {
                bind(sql, move, kind, detail);
                try (ResultSet row = sql.executeQuery()) {
                    if (row.next()) {
                        id[0] = row.getLong(1);
                    }
                }
            }
        });
        return id[0];
    }

    /** The step's traces are gone, or belong to the guest now. */
    public synchronized void undone(long step) throws JournalException {
        run("write step " + step, () -> update("UPDATE steps SET undone=1 WHERE id=?", step));
    }

    /** What a move has left behind, last first: the order to undo it. */
    public synchronized List<StepRow> openSteps(UUID move) throws JournalException {
        return ask(
                "SELECT id, kind, detail FROM steps WHERE move=? AND undone=0 ORDER BY id DESC",
                row -> new StepRow(row.getLong(1), row.getString(2), row.getString(3)),
                move);
    }

    /** A line of a move's timeline that is to be written. */
    public record Line(UUID move, Instant at, String text) {}

    /**
     * Lines of timelines; a move keeps its last 2000, and lines of a move that is not here are dropped. They outlive
     * the daemon at once, and a power cut with the next write of anything else: nobody waits for the disk for their
     * sake.
     */
    public synchronized void note(List<Line> lines) throws JournalException {
        run("write timelines", Until.DAEMON_DIES, () -> {
            for (Line line : lines) {
                update(
                        "INSERT INTO timeline (move, at, text) SELECT ?,?,? WHERE EXISTS (SELECT 1 FROM moves WHERE id=?)",
                        line.move(),
                        line.at().toEpochMilli(),
                        line.text(),
                        line.move());
            }
            for (UUID move : lines.stream().map(Line::move).distinct().toList()) {
                update(
                        "DELETE FROM timeline WHERE move=? AND id <= (SELECT id FROM timeline WHERE move=?"
                                + " ORDER BY id DESC LIMIT 1 OFFSET " + TIMELINE_KEPT + ")",
                        move,
                        move);
            }
        });
    }

    /** A move's timeline, in order. */
    public synchronized List<NoteRow> timeline(UUID move) throws JournalException {
        return ask(
                "SELECT at, text FROM timeline WHERE move=? ORDER BY id",
                row -> new NoteRow(Instant.ofEpochMilli(row.getLong(1)), row.getString(2)),
                move);
    }

    @Override
    public synchronized void close() throws JournalException {
        try {
            database.close();
        } catch (SQLException e) {
            throw new JournalException("journal %s can't be closed".formatted(file), e);
        }
    }

    private interface Change {
        void run() throws SQLException;
    }

    private interface Reader<T> {
        T read(ResultSet row) throws SQLException;
    }

    /** What a commit outlives; both outlive the end of the daemon. */
    private enum Until {
        /** SQLite writes its log and leaves it to the kernel. */
        DAEMON_DIES("NORMAL"),
        /** The log is on the disk, and all that was written into it before. */
        POWER_IS_CUT("FULL");

        private final String level;

        Until(String level) {
            this.level = level;
        }
    }

    private void run(String what, Change change) throws JournalException {
        run(what, Until.POWER_IS_CUT, change);
    }

    private void run(String what, Until until, Change change) throws JournalException {
        try {
            outlive(until);
            change.run();
            database.commit();
        } catch (SQLException e) {
            JournalException failure =
                    new JournalException("journal %s: can't %s (%s)".formatted(file, what, e.getMessage()), e);
            try {
                database.rollback();
            } catch (SQLException worse) {
                failure.addSuppressed(worse);
            }
            throw failure;
        }
    }

    /** What SQLite says of itself. */
    synchronized int synchronousLevel() throws SQLException {
        try (Statement sql = database.createStatement()) {
            return number(sql, "PRAGMA synchronous");
        }
    }

    /** Between transactions only: SQLite would not hear it in one. */
    private void outlive(Until until) throws SQLException {
        if (until != outlives) {
            database.setAutoCommit(true);
            try (Statement sql = database.createStatement()) {
                sql.execute("PRAGMA synchronous=" + until.level);
                outlives = until;
            } finally {
                database.setAutoCommit(false);
            }
        }
    }

    private void update(String statement, Object... values) throws SQLException {
        try (PreparedStatement sql = database.prepareStatement(statement)) {
            bind(sql, values);
            sql.executeUpdate();
        }
    }

    private <T> List<T> ask(String query, Reader<T> reader, Object... values) throws JournalException {
        List<T> found = new ArrayList<>();
        run("read", outlives, () -> {
            try (PreparedStatement sql = database.prepareStatement(query)) {
                bind(sql, values);
                try (ResultSet rows = sql.executeQuery()) {
                    while (rows.next()) {
                        found.add(reader.read(rows));
                    }
                }
            }
        });
        return found;
    }

    private static void bind(PreparedStatement sql, Object... values) throws SQLException {
        for (int i = 0; i < values.length; i++) {
            switch (values[i]) {
                case Long number -> sql.setLong(i + 1, number);
                case Integer number -> sql.setInt(i + 1, number);
                default -> sql.setString(i + 1, values[i].toString());
            }
        }
    }

    private static OwnershipRow ownershipOf(ResultSet row) throws SQLException {
        return new OwnershipRow(
                UUID.fromString(row.getString("guest")),
                row.getString("name"),
                row.getLong("epoch"),
                row.getString("state"),
                Instant.ofEpochMilli(row.getLong("since")));
    }

    private static MoveRow moveOf(ResultSet row) throws SQLException {
        String peers = row.getString("peers");
        return new MoveRow(
                UUID.fromString(row.getString("id")),
                row.getString("role"),
                UUID.fromString(row.getString("guest")),
                row.getString("name"),
                peers.isEmpty() ? List.of() : List.of(peers.split("\n", -1)),
                row.getString("phase"),
                row.getString("state"),
                row.getInt("ended") != 0,
                Instant.ofEpochMilli(row.getLong("started")),
                Instant.ofEpochMilli(row.getLong("updated")));
    }
}
