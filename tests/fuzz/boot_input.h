/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_BOOT_INPUT_H
#define TESTS_FUZZ_BOOT_INPUT_H

/* A fuzz input as a kernel file, loaded into memory that only the host sees. */

#include "tests/support/boot_sample.h"

#define INPUT_RAM (UINT64_C(64) << 20)

/*
 * Lets loader have the input, if it is of its kind.  What it accepts must lie in RAM above the boot
 * tables and be entered within, and a failure must come with words.
 */
static inline int boot_input_run(const KernelLoader *loader, const uint8_t *data, size_t size)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    g_auto(BootImage) image = {.fd = -1};
    LoadedKernel kernel = {0};
    const KernelConfig config = {.cmdline = "quiet"};
    VcpuEntry entry;
    bool ok = guest_mem_add_plain(mem, INPUT_RAM, &error);

    g_assert_true(ok);
    if (!boot_image_adopt(&image, boot_sample_file(data, size), "input", NULL) ||
        !loader->matches(&image)) {
        return 0;
    }
    ok = loader->load(&image, mem, &kernel, &error);
    g_assert_true(ok == (error == NULL));
    if (ok) {
        g_assert_cmpuint(kernel.start, >=, 0x100000);
        g_assert_cmpuint(kernel.end, <=, INPUT_RAM);
        g_assert_cmpuint(kernel.entry, >=, kernel.start);
        g_assert_cmpuint(kernel.entry, <, kernel.end);
        ok = kernel_load_images(mem, &image, &image, &config, &entry, NULL);
        g_assert_true(!ok || entry.rip == kernel.entry);
    }
    return 0;
}

#endif
