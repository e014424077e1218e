/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SUPPORT_BOOT_SAMPLE_H
#define TESTS_SUPPORT_BOOT_SAMPLE_H

/*
 * Small kernel images that the loaders take, for tests to break one field at a time, and a way to
 * load bytes as if they were a file.
 */

#include "machine/boot/kernel.h"

#include <elf.h>

#define SAMPLE_RAM   (UINT64_C(256) << 20)
#define SAMPLE_ENTRY UINT64_C(0x1000040)

enum {
    SAMPLE_TEXT,
    SAMPLE_DATA,
    SAMPLE_NOTE,
    SAMPLE_SEGMENTS,
};

/*
 * An ELF file.  TEXT: file 0x1000..0x3800 at 16 MiB, with bss up to 0x1004000; DATA: 0x10 bytes at
 * the end of the file at 0x1005008; NOTE: inside TEXT, a GNU build id and then the PVH entry.
 */
typedef struct SampleElf {
    Elf64_Ehdr header;
    Elf64_Phdr segments[SAMPLE_SEGMENTS];
    uint8_t pad[0x1000 - sizeof(Elf64_Ehdr) - SAMPLE_SEGMENTS * sizeof(Elf64_Phdr)];
    uint8_t text[0x2800];
    uint8_t data[0x10];
} SampleElf;

SampleElf boot_sample_elf(void);

/* Turns the PVH note into one that nobody knows. */
void boot_sample_hide_pvh(SampleElf *elf);

/* setup_sects 7, so that the kernel proper begins on a page of the file; syssize 0x2000 bytes. */
typedef struct SampleBzimage {
    union {
        uint8_t real_mode[0x1000];
        struct __attribute__((packed)) {
            uint8_t boot_sector[0x1f1];
            struct setup_header setup;
        };
    };
    uint8_t kernel[0x2000];
} SampleBzimage;

SampleBzimage boot_sample_bzimage(void);

/* An anonymous file with these bytes. */
int boot_sample_file(const void *data, size_t len);

/* Loads bytes as a kernel into mem. */
bool boot_sample_load(GuestMemory *mem, const void *data, size_t len, const char *cmdline,
                      VcpuEntry *ret_entry, GError **error);

/* The same into fresh memory of SAMPLE_RAM bytes, expecting it to fail: the message, to be freed. */
char *boot_sample_refusal(const void *data, size_t len);

#endif
