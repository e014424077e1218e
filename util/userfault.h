/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_USERFAULT_H
#define UTIL_USERFAULT_H

/*
 * Memory whose pages are made by this process when somebody touches them: userfaultfd(2).
 *
 *     whoever touches a page                     the one who watches
 *     that is not there: sleeps  --- read() ---> userfault_read: where?
 *     goes on                    <-------------- userfault_copy, userfault_zero
 *
 * Touches by the kernel count, too: KVM's for a guest, and those of system calls.  Only the calls
 * that the kernel's errors must be told apart for are here; memory is whole pages of its own size.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Non-blocking.  -1 where the host has none or refuses it; the error says what it would take. */
int userfault_open(GError **error);

/*
 * From now on a touch of a page in [at, at + len) that is not there is told by fd.  *ret_zeroes:
 * userfault_zero can be had for this memory.
 */
bool userfault_watch(int fd, void *at, uint64_t len, bool *ret_zeroes, GError **error);

/* The kernel makes the pages that are missing again, as zeroes; whoever waits goes on. */
void userfault_unwatch(int fd, void *at, uint64_t len);

/* Where somebody waits; false if nobody does. */
bool userfault_read(int fd, uintptr_t *ret_address);

/*
 * Pages of page_size from data to at; one that is there already keeps what it holds.  Whoever waits
 * for one of them goes on.
 */
bool userfault_copy(int fd, void *at, const void *data, uint64_t len, uint64_t page_size,
                    GError **error);

/* The same with zeroes, on memory that knows it. */
bool userfault_zero(int fd, void *at, uint64_t len, uint64_t page_size, GError **error);

#endif
