/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM generation id and the VMClock page are where the DSDT says, in memory that is not the
 * guest's own, and hold what they should; in a clone they hold something else.
 *
 *     guid=TEXT   what -device vmgenid,guid= was given
 *
 * Who wakes it at the migrate point may say what it is: 'c' a clone, 's' merely stopped meanwhile.
 */
#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"

#define HEADER_SIZE  36
#define GUID_BYTES   16
#define AML_BYTE     0x0a
#define AML_WORD     0x0b
#define AML_DWORD    0x0c
#define AML_QWORD    0x0e
#define AML_PACKAGE  0x12
#define MEMORY32     0x86
#define VMCLOCK_SIZE 4096
#define SEQ_COUNT    0x0c
#define GENERATION   0x68

static uint64_t load(const uint8_t *p, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = size; i > 0; i--) {
        value = value << 8 | p[i - 1];
    }
    return value;
}

/* Where in the DSDT, from at on, these bytes are; NULL when nowhere. */
static const uint8_t *find(const uint8_t *at, const void *bytes, unsigned length)
{
    const uint8_t *dsdt = acpi_table("DSDT");
    const uint8_t *end = dsdt + acpi_table_length(dsdt) - length;

    for (; at < end; at++) {
        if (!memcmp(at, bytes, length)) {
            return at;
        }
    }
    return NULL;
}

/* An integer constant; moves behind it. */
static uint64_t take_integer(const uint8_t **at)
{
    const uint8_t *p = *at;
    unsigned size = *p == AML_BYTE    ? 1
                    : *p == AML_WORD  ? 2
                    : *p == AML_DWORD ? 4
                    : *p == AML_QWORD ? 8
                                      : 0;

    *at = p + 1 + size;
    return size ? load(p + 1, size) : *p; /* the opcodes of zero and one are their values */
}

/* Name (ADDR, Package () {low, high}) behind the _CID. */
static uint64_t id_address(void)
{
    const uint8_t *dsdt = acpi_table("DSDT");
    const uint8_t *at = find(dsdt + HEADER_SIZE, "VM_Gen_Counter", 14);
    uint64_t low;

    at = at ? find(at, "ADDR\x12", 5) : NULL;
    if (!at) {
        return 0;
    }
    at += 5;
    at += 1 + (*at >> 6) + 1; /* length, count */
    low = take_integer(&at);
    return low | take_integer(&at) << 32;
}

static uint64_t clock_address(void)
{
    static const uint8_t memory[] = {MEMORY32, 9, 0};
    const uint8_t *dsdt = acpi_table("DSDT");
    const uint8_t *at = find(dsdt + HEADER_SIZE, "AMZNC10C", 8);

    at = at ? find(at, memory, sizeof(memory)) : NULL;
    if (!at || load(at + 8, 4) != VMCLOCK_SIZE) {
        return 0;
    }
    return load(at + 4, 4);
}

static bool is_ram(uint64_t address)
{
    const BootInfo *info = boot_info();

    for (unsigned i = 0; i < info->range_count; i++) {
        const MemoryRange *range = &info->ranges[i];

        if (range->type == MEMORY_RAM && address >= range->start &&
            address - range->start < range->size) {
            return true;
        }
    }
    return false;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The id as it lies in memory is the text, the first three groups little-endian. */
static bool id_is(const uint8_t *id, const char *text)
{
    static const uint8_t order[GUID_BYTES] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

    for (unsigned i = 0; i < GUID_BYTES; i++) {
        text += *text == '-';
        if (hex_digit(text[0]) * 16 + hex_digit(text[1]) != id[order[i]]) {
            return false;
        }
        text += 2;
    }
    return true;
}

void payload_main(void)
{
    uint64_t address = id_address();
    uint64_t clock = clock_address();
    const uint8_t *id = (const uint8_t *)address;
    const uint8_t *page = (const uint8_t *)clock;
    uint8_t before[GUID_BYTES];
    uint64_t generation;
    uint8_t word;
    bool id_changed;

    if (!report(address, "the DSDT names the generation id's address") ||
        !report(clock, "the DSDT names the VMClock page")) {
        return;
    }
    report(address % 8 == 0 && !is_ram(address), "the id is aligned and not in the guest's RAM");
    report(load(id, 8) && load(id + 8, 8), "the id is not zero");
    if (boot_word("guid", 0)) {
        report(id_is(id, boot_word("guid", 0)), "the id is the one that was chosen");
    } else {
        report(id[7] >> 4 == 4 && id[8] >> 6 == 2, "the id is a random GUID");
    }
    report(clock % VMCLOCK_SIZE == 0 && !is_ram(clock), "VMClock has a page of its own");
    report(!memcmp(page, "VCLK", 4) && load(page + 4, 4) == VMCLOCK_SIZE && page[8] == 1,
           "VMClock introduces itself");
    report(load(page + SEQ_COUNT, 4) % 2 == 0, "no update is under way");

    memcpy(before, id, sizeof(before));
    generation = load(page + GENERATION, 8);
    word = migrate_point();
    id_changed = memcmp(before, id, sizeof(before)) != 0;
    report(id_changed == (load(page + GENERATION, 8) != generation),
           "id and generation change together");
    report(word != 'c' || id_changed, "a clone has another id");
    report(word != 's' || !id_changed, "a VM that was stopped only keeps its id");
    report_note("the id is %s", id_changed ? "another" : "the same");
}
