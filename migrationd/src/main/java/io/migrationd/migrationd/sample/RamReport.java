package io.migrationd.migrationd.sample;

import java.util.List;

/**
 * What an image of a {@link BootGuest}'s RAM says.
 *
 * @param rounds the round in work of each vCPU
 * @param damage one sentence for each page that does not hold what it must; empty if all is well
 */
public record RamReport(List<Integer> rounds, List<String> damage) {}
