/**
 * Who waits for which page of a running guest: the thread that reads the guest's userfaultfd, the table of host pages
 * that are waited for, and what is measured of the waiting.
 */
@NullMarked
package io.migrationd.postcopy.fault;

import org.jspecify.annotations.NullMarked;
