/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PVH kernel finds when it is entered: the state of the processor, the start info with its
 * command line and its initial RAM disk, whole and in RAM, and ACPI tables that are all intact.
 *
 * Command line: initrd=BYTES, cpus=N, and the word `last` at its end.
 */
#include "tests/guest/lib/acpi.h"
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/smp.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/x86.h"

#define CR0_PE         0x00000001u
#define CR0_PG         0x80000000u
#define EFLAGS_TF      0x00000100u
#define EFLAGS_IF      0x00000200u
#define EFLAGS_VM      0x00020000u
#define PROCESSORS_MAX 256
#define XSDT_ENTRIES   36
#define RSDP_XSDT      24

static void test_entry_state(void)
{
    const EntryState *entry = boot_entry_state();

    report((entry->cr0 & (CR0_PE | CR0_PG)) == CR0_PE, "protected mode, paging off: CR0 0x%x",
           entry->cr0);
    report(entry->cr4 == 0, "no extensions in CR4: 0x%x", entry->cr4);
    report(!(entry->eflags & (EFLAGS_TF | EFLAGS_IF | EFLAGS_VM)),
           "neither interrupts nor single steps: EFLAGS 0x%x", entry->eflags);
}

static bool lies_in_ram(uint64_t start, uint64_t size)
{
    const BootInfo *info = boot_info();

    for (unsigned i = 0; i < info->range_count; i++) {
        const MemoryRange *range = &info->ranges[i];

        if (range->type == MEMORY_RAM && start >= range->start &&
            start + size <= range->start + range->size) {
            return true;
        }
    }
    return false;
}

/* The pattern is run.py's. */
static uint64_t count_wrong_bytes(const uint8_t *data, uint64_t size)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < size; i++) {
        wrong += data[i] != (uint8_t)(i * 7 + (i >> 8));
    }
    return wrong;
}

static void test_initrd(void)
{
    const BootInfo *info = boot_info();
    uint64_t size = boot_option("initrd", 0);

    if (!report(info->module_count == (size != 0), "modules: %u", info->module_count) || !size) {
        return;
    }
    report_equal(info->initrd_size, size, "the initial RAM disk has its size");
    report(lies_in_ram(info->initrd, size), "it lies in RAM, at 0x%lx", info->initrd);
    report(info->initrd >= (uint64_t)payload_end || info->initrd + size <= (uint64_t)payload_start,
           "and not in the kernel");
    report_equal(count_wrong_bytes((const uint8_t *)info->initrd, size), 0,
                 "it holds what the file holds");
}

static void test_command_line(void)
{
    const char *text = boot_info()->command_line;
    size_t length = strlen(text);

    report(length < sizeof(boot_info()->command_line) - 1, "the command line has an end");
    report(boot_flag("last"), "all of the command line is there: %lu bytes", (uint64_t)length);
}

static void test_acpi(void)
{
    static uint32_t ids[PROCESSORS_MAX];
    uint64_t rsdp = boot_info()->rsdp;
    const uint8_t *xsdt;
    unsigned tables = 0;
    unsigned broken = 0;
    uint64_t address;

    memcpy(&address, (const uint8_t *)rsdp + RSDP_XSDT, sizeof(address));
    xsdt = (const uint8_t *)address;
    for (uint32_t at = XSDT_ENTRIES; at < acpi_table_length(xsdt); at += sizeof(address)) {
        memcpy(&address, xsdt + at, sizeof(address));
        tables++;
        broken += !acpi_is_intact((const void *)address);
    }
    report(acpi_is_intact(xsdt), "the XSDT's checksum is right");
    report(tables && !broken, "so are those of its %u tables", tables);
    report(acpi_table("DSDT"), "there is a DSDT");
    report_equal(acpi_processors(ids, PROCESSORS_MAX), boot_option("cpus", 1),
                 "the MADT names all processors");
}

void payload_main(void)
{
    test_entry_state();
    test_command_line();
    test_initrd();
    test_acpi();
}
