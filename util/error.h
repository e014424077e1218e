/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

/*
 * Errors are values.  They travel up as GError and end in exactly two places: main() prints them,
 * qmp/ answers with them.  In between nobody logs and nobody exits; whoever knows more about the
 * place adds it with g_prefix_error, so that the message reads as a path to the fault.
 *
 * A function that can fail returns bool (true = success) or a pointer (NULL = failure), takes
 * GError **error last and sets it on every failing path.  fail() returns false, which makes a
 * failing path one line:
 *
 *     return fail(error, VMM_ERROR_WIRE, "section '%s': length %u exceeds %u", name, len, max);
 */

#include <glib.h>
#include <stdbool.h>

typedef enum {
    VMM_ERROR_CONFIG, /* what the user asked for cannot be */
    VMM_ERROR_HOST,   /* the host refused: a file, an ioctl, memory */
    VMM_ERROR_GUEST,  /* the guest did what no correct guest does */
    VMM_ERROR_WIRE,   /* bytes from a file or a peer do not parse */
    VMM_ERROR_STATE,  /* right request, wrong moment */
} VmmError;

#define VMM_ERROR (vmm_error_quark())
GQuark vmm_error_quark(void);

bool fail(GError **error, VmmError code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* Like fail() with VMM_ERROR_HOST, and appends ": " and the words for err (an errno value). */
bool fail_errno(GError **error, int err, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* The same two for functions that return a pointer. */
void *fail_null(GError **error, VmmError code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
void *fail_errno_null(GError **error, int err, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/*
 * The words for an errno value, for a message that is no error.  g_strerror reads a table of the
 * locale's from a file to find them, which most threads in the sandbox may not.
 */
const char *error_words(int err);

#endif
