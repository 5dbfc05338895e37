package io.migrationd.migrationd.journal;

/**
 * Something that a move has left behind.
 *
 * @param id its number
 * @param kind what it is: {@code incoming-qemu}, {@code relay-socket}, {@code capabilities}, {@code parameters}
 * @param detail what is needed to undo it; the kind says in which form
 */
public record StepRow(long id, String kind, String detail) {}
