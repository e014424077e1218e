/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEVICES_BACKEND_CHARDEV_H
#define DEVICES_BACKEND_CHARDEV_H

/*
 * A byte stream between a device in the guest (the front end: a UART, a virtio console, a monitor)
 * and something on the host (the back end: the terminal, a socket, a file, ...).
 *
 *      front end  -- chardev_write ------------------>  back end
 *                 <- writable (after a short write) --
 *                 <- can_receive, receive ------------
 *                 -- chardev_accept_input ----------->  (there is room again)
 *                 <- event (opened, closed, break) ---
 *
 * Nothing waits: a write that the back end cannot take is cut short, input that the front end
 * cannot take stays where it is.  Output to a far end that is not there (no client, hung up) is
 * taken and dropped, as a serial line does.
 *
 * Who locks what: chardev_write, chardev_wait_writable and chardev_accept_input may be called from
 * any thread and with the front end's own lock held; they take the chardev's lock inside it.  All
 * callbacks run on the chardev's loop, one at a time, with no chardev lock held, so that they may
 * take the front end's lock.  Everything else is called on the loop's thread.
 *
 * The process must ignore SIGPIPE.
 */

#include "devices/request.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Chardev Chardev;

typedef enum {
    CHARDEV_OPENED, /* somebody is at the far end now */
    CHARDEV_CLOSED,
    CHARDEV_BREAK,
} ChardevEvent;

typedef struct ChardevFrontend {
    /* How many bytes receive would take now; 0 stops input until chardev_accept_input. */
    size_t (*can_receive)(void *opaque);
    /* At most what can_receive said. */
    void (*receive)(void *opaque, const uint8_t *data, size_t len);
    /* Optional.  Once after each short write, when there is room again. */
    void (*writable)(void *opaque);
    /* Optional. */
    void (*event)(void *opaque, ChardevEvent event);
} ChardevFrontend;

/* Accepts NULL.  The front end must be detached. */
void chardev_free(Chardev *chr);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chardev, chardev_free)

const char *chardev_id(const Chardev *chr);

/* What is at the far end, for people: "unix:/run/x.sock,server", "pty:/dev/pts/3". */
char *chardev_describe(const Chardev *chr);

/* What Ctrl-a x asks for, on a chardev with mux=on. */
void chardev_set_quit(Chardev *chr, const Request *quit);

/* One front end at a time.  If the far end is there already, CHARDEV_OPENED comes at once. */
bool chardev_attach(Chardev *chr, const ChardevFrontend *frontend, void *opaque, GError **error)
    G_GNUC_WARN_UNUSED_RESULT;
void chardev_detach(Chardev *chr);
bool chardev_is_attached(const Chardev *chr);

/* Is somebody at the far end? */
bool chardev_is_open(const Chardev *chr);

/*
 * Ends the connection, soon, as if the far end had hung up; the chardev waits for the next one.
 * Only for those that have connections.
 */
bool chardev_can_hang_up(const Chardev *chr);
void chardev_hang_up(Chardev *chr);

/* Any thread.  How many bytes were taken; if not all, writable will be called. */
size_t chardev_write(Chardev *chr, const void *data, size_t len);

/* Any thread: waits until a write would be taken, or timeout_ms have passed (then false). */
bool chardev_wait_writable(Chardev *chr, int timeout_ms);

/* For the last words: writes on until all is taken or nothing has been for timeout_ms. */
size_t chardev_write_all(Chardev *chr, const void *data, size_t len, int timeout_ms);

/* Any thread: takes the oldest bytes out of a ring buffer. */
bool chardev_is_ringbuf(const Chardev *chr);
size_t chardev_ringbuf_read(Chardev *chr, uint8_t *data, size_t len);

/* Any thread: can_receive may say more than 0 again. */
void chardev_accept_input(Chardev *chr);

#endif
