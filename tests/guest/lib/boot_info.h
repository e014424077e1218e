/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the monitor handed over: command line, memory map, ACPI root.  Copied out of the PVH start
 * info before anything else is written, because nobody promises where that lies.
 */
#ifndef TESTS_GUEST_LIB_BOOT_INFO_H
#define TESTS_GUEST_LIB_BOOT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_RANGES_MAX 32
#define MEMORY_RAM        1

typedef struct MemoryRange {
    uint64_t start;
    uint64_t size;
    uint32_t type;
} MemoryRange;

typedef struct BootInfo {
    uint32_t version;
    char command_line[4096];
    uint64_t rsdp;
    uint32_t module_count;
    uint64_t initrd; /* the first module */
    uint64_t initrd_size;
    MemoryRange ranges[MEMORY_RANGES_MAX];
    unsigned range_count;
} BootInfo;

/* As boot.S found the processor; it counts on the order. */
typedef struct EntryState {
    uint32_t cr0;
    uint32_t cr4;
    uint32_t eflags;
} EntryState;

const EntryState *boot_entry_state(void);

void boot_info_read(uint32_t start_info);
const BootInfo *boot_info(void);

/* "key=NUMBER" on the command line. */
uint64_t boot_option(const char *key, uint64_t otherwise);

/* The word "key" on the command line. */
bool boot_flag(const char *key);

/*
 * The text behind "key=" in the n-th word that begins so, up to the end of the command line; NULL
 * when there is none.
 */
const char *boot_word(const char *key, unsigned n);

/* First and last byte of the payload, itself and its .bss. */
extern const uint8_t payload_start[];
extern const uint8_t payload_end[];

#endif
