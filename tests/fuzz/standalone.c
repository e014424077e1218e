/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over given inputs, without a fuzzer: each argument is a file, or a folder
 * whose files are taken in turn.  A target that dislikes an input crashes, as under the fuzzer.
 */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path)
{
    g_autofree char *data = NULL;
    g_autoptr(GError) error = NULL;
    gsize size;

    if (!g_file_get_contents(path, &data, &size, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }

    /* An exact copy: glib adds a byte, which would hide a read past the end. */
    g_autofree uint8_t *exact = g_memdup2(data, size);

    LLVMFuzzerTestOneInput(exact, size);
    return true;
}

static bool replay_folder(const char *path, unsigned *ret_count)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
    const char *name;

    if (!dir) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (!replay_file(file)) {
            return false;
        }
        (*ret_count)++;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        bool ok = true;

        if (g_file_test(argv[i], G_FILE_TEST_IS_DIR)) {
            ok = replay_folder(argv[i], &count);
        } else {
            ok = replay_file(argv[i]);
            count++;
        }
        if (!ok) {
            return EXIT_FAILURE;
        }
    }
    if (count == 0) {
        fprintf(stderr, "no inputs: an empty corpus proves nothing\n");
        return EXIT_FAILURE;
    }
    printf("%u inputs\n", count);
    return EXIT_SUCCESS;
}
