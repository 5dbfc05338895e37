/**
 * Benchmarks behind {@code bin/bench}: whole migrations against QEMU and a raw copy, and JMH for the codecs. Every
 * comparison is made within one run, kinds taking turns, since absolute figures say more about the machine than about
 * us.
 */
@NullMarked
package io.migrationd.it.bench;

import org.jspecify.annotations.NullMarked;
