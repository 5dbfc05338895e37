package io.migrationd.migrationd.journal;

import java.time.Instant;

/**
 * A line of a move's timeline.
 *
 * @param at when
 * @param text what
 */
public record NoteRow(Instant at, String text) {}
