/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/acpi/microvm.h"

#include "tests/support/acpi_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <string.h>

/* Where things are, by ACPI 6.3. */
enum {
    FADT_DSDT = 40,
    FADT_CENTURY = 108,
    FADT_BOOT_ARCH = 109,
    FADT_FLAGS = 112,
    FADT_RESET = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_SLEEP_CONTROL = 244,
    FADT_SLEEP_STATUS = 256,
    FADT_LENGTH = 276,
    MADT_FLAGS = 40,
    MADT_ENTRIES = 44,
    SRAT_ENTRIES = 48,
    SLIT_COUNT = 36,
    SLIT_MATRIX = 44,
};

/* Offset of a byte string in a table, or 0: nothing starts at the header. */
static size_t find(const uint8_t *table, const void *what, size_t len)
{
    const uint8_t *hit = memmem(table, load_le32(table + 4), what, len);

    return hit == NULL ? 0 : (size_t)(hit - table);
}

static bool mentions(const uint8_t *table, const char *text)
{
    return find(table, text, strlen(text)) != 0;
}

/* The n-th entry of a type in the list of (type, length, ...) from offset on; NULL if none. */
static const uint8_t *entry(const uint8_t *table, size_t offset, uint8_t type, unsigned n)
{
    uint32_t len = load_le32(table + 4);

    while (offset < len) {
        const uint8_t *p = table + offset;

        ck_assert_uint_ge(p[1], 2);
        if (p[0] == type && n-- == 0) {
            return p;
        }
        offset += p[1];
    }
    ck_assert_uint_eq(offset, len);
    return NULL;
}

START_TEST(every_table_adds_up_to_zero_inside_the_set)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    static const char *const names[] = {"XSDT", "FACP", "DSDT", "APIC", "SRAT", "SLIT"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const uint8_t *table = acpi_sample_table(set, names[i]);

        ck_assert_msg(table != NULL, "no %s", names[i]);
        uint32_t len = load_le32(table + 4);
        uint8_t sum = 0;

        ck_assert_uint_le((size_t)(table - set->data) + len, set->len);
        for (uint32_t k = 0; k < len; k++) {
            sum = (uint8_t)(sum + table[k]);
        }
        ck_assert_uint_eq(sum, 0);
    }
}
END_TEST

START_TEST(fadt_is_reduced_and_names_the_registers)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *fadt = acpi_sample_table(set, "FACP");
    static const uint8_t byte_in_memory[] = {0, 8, 0, 1};

    ck_assert_uint_eq(load_le32(fadt + 4), FADT_LENGTH);
    ck_assert_uint_eq(load_le32(fadt + FADT_FLAGS), 1u << 20 | 1u << 10 | 1u << 5 | 1u << 4 | 1u);
    ck_assert_mem_eq(fadt + FADT_RESET, byte_in_memory, 4);
    ck_assert_uint_eq(load_le64(fadt + FADT_RESET + 4), vm.ged.reset);
    ck_assert_uint_eq(fadt[FADT_RESET_VALUE], vm.ged.reset_value);
    ck_assert_mem_eq(fadt + FADT_SLEEP_CONTROL, byte_in_memory, 4);
    ck_assert_uint_eq(load_le64(fadt + FADT_SLEEP_CONTROL + 4), vm.ged.sleep_control);
    ck_assert_mem_eq(fadt + FADT_SLEEP_STATUS, byte_in_memory, 4);
    ck_assert_uint_eq(load_le64(fadt + FADT_SLEEP_STATUS + 4), vm.ged.sleep_status);
    ck_assert_uint_eq(load_le32(fadt + FADT_DSDT), load_le64(fadt + FADT_X_DSDT));
    ck_assert_uint_eq(fadt[FADT_CENTURY], 0x32);
}
END_TEST

START_TEST(boot_flags_say_what_legacy_is_there)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) full = acpi_microvm_build(&vm);

    vm = acpi_sample_plain();

    g_autoptr(GByteArray) plain = acpi_microvm_build(&vm);

    /* legacy devices, i8042, no VGA */
    ck_assert_uint_eq(load_le16(acpi_sample_table(full, "FACP") + FADT_BOOT_ARCH), 0x07);
    /* no VGA, no CMOS RTC */
    ck_assert_uint_eq(load_le16(acpi_sample_table(plain, "FACP") + FADT_BOOT_ARCH), 0x24);
}
END_TEST

START_TEST(dsdt_has_what_the_vm_has_and_no_more)
{
    static const uint8_t com1_id[] = {0x0c, 0x41, 0xd0, 0x05, 0x01};
    static const uint8_t rtc_id[] = {0x0c, 0x41, 0xd0, 0x0b, 0x00};
    static const uint8_t button_id[] = {0x0c, 0x41, 0xd0, 0x0c, 0x0c};
    AcpiMicrovm vm = acpi_sample_plain();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *dsdt = acpi_sample_table(set, "DSDT");

    ck_assert(mentions(dsdt, "ACPI0013"));
    ck_assert(mentions(dsdt, "_S5_"));
    ck_assert_uint_ne(find(dsdt, button_id, sizeof(button_id)), 0);
    ck_assert_uint_eq(find(dsdt, com1_id, sizeof(com1_id)), 0);
    ck_assert_uint_eq(find(dsdt, rtc_id, sizeof(rtc_id)), 0);
    ck_assert(!mentions(dsdt, "LNRO0005"));
    ck_assert(!mentions(dsdt, "QEMU0001"));
    ck_assert(!mentions(dsdt, "VM_Gen_Counter"));
    ck_assert(!mentions(dsdt, "VMCLOCK"));

    AcpiMicrovm everything = acpi_sample_full();
    g_autoptr(GByteArray) full = acpi_microvm_build(&everything);

    dsdt = acpi_sample_table(full, "DSDT");
    ck_assert_uint_ne(find(dsdt, com1_id, sizeof(com1_id)), 0);
    ck_assert_uint_ne(find(dsdt, rtc_id, sizeof(rtc_id)), 0);
    ck_assert(mentions(dsdt, "QEMU0001"));
    ck_assert(mentions(dsdt, "VM_Gen_Counter"));
}
END_TEST

/* If ((Local0 & mask)) { Notify (\_SB.NAME, 0x80) }, behind the If's length. */
static void check_event(const uint8_t *dsdt, const uint8_t *mask, size_t mask_len, const char *name)
{
    static const uint8_t and_local0[] = {0x7b, 0x60};
    static const uint8_t then_notify[] = {0x00, 0x86, '\\', 0x2e, '_', 'S', 'B', '_'};
    static const uint8_t value[] = {0x0a, 0x80};
    g_autoptr(GByteArray) code = g_byte_array_new();

    g_byte_array_append(code, and_local0, sizeof(and_local0));
    g_byte_array_append(code, mask, (guint)mask_len);
    g_byte_array_append(code, then_notify, sizeof(then_notify));
    g_byte_array_append(code, (const guint8 *)name, 4);
    g_byte_array_append(code, value, sizeof(value));
    ck_assert_msg(find(dsdt, code->data, code->len) != 0, "no event for %s", name);
}

START_TEST(each_event_has_its_bit)
{
    static const uint8_t one[] = {0x01};
    static const uint8_t bit_8[] = {0x0b, 0x00, 0x01};
    static const uint8_t bit_9[] = {0x0b, 0x00, 0x02};
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *dsdt = acpi_sample_table(set, "DSDT");

    check_event(dsdt, one, sizeof(one), "PWRB");
    check_event(dsdt, bit_8, sizeof(bit_8), "VGEN");
    check_event(dsdt, bit_9, sizeof(bit_9), "VCLK");
}
END_TEST

START_TEST(each_virtio_slot_has_its_window_and_interrupt)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *dsdt = acpi_sample_table(set, "DSDT");

    for (unsigned i = 0; i < SAMPLE_VIRTIO; i++) {
        g_autofree char *name = g_strdup_printf("V%03X", i);
        size_t at = find(dsdt, name, 4);
        uint8_t window[12] = {0x86, 9, 0, 1};
        uint8_t interrupt[9] = {0x89, 6, 0, 0x03, 1};

        store_le32(window + 4, vm.virtio[i].base);
        store_le32(window + 8, vm.virtio[i].size);
        store_le32(interrupt + 5, vm.virtio[i].gsi);
        ck_assert_uint_ne(at, 0);

        size_t window_at = find(dsdt, window, sizeof(window));

        ck_assert_uint_gt(window_at, at);
        ck_assert_mem_eq(dsdt + window_at + sizeof(window), interrupt, sizeof(interrupt));
    }
}
END_TEST

START_TEST(vmclock_has_a_page_that_the_guest_only_reads)
{
    static const uint8_t page[] = {0x86, 9, 0, 0, 0x00, 0xf0, 0x0f, 0x00, 0x00, 0x10, 0x00, 0x00};
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *dsdt = acpi_sample_table(set, "DSDT");
    size_t at = find(dsdt, "AMZNC10C", 8);

    ck_assert_uint_ne(at, 0);
    ck_assert_uint_gt(find(dsdt, page, sizeof(page)), at);
}
END_TEST

START_TEST(madt_lists_cpus_by_the_width_of_their_id)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *madt = acpi_sample_table(set, "APIC");

    ck_assert_uint_eq(load_le32(madt + 36), 0xfee00000);
    ck_assert_uint_eq(load_le32(madt + MADT_FLAGS), 0);
    for (unsigned i = 0; i < 255; i++) {
        const uint8_t *lapic = entry(madt, MADT_ENTRIES, 0, i);

        ck_assert_uint_eq(lapic[2], i);
        ck_assert_uint_eq(lapic[3], i);
        ck_assert_uint_eq(load_le32(lapic + 4), 1);
    }
    ck_assert_ptr_null(entry(madt, MADT_ENTRIES, 0, 255));
    for (unsigned i = 255; i < SAMPLE_CPUS; i++) {
        const uint8_t *x2apic = entry(madt, MADT_ENTRIES, 9, i - 255);

        ck_assert_uint_eq(load_le32(x2apic + 4), i);
        ck_assert_uint_eq(load_le32(x2apic + 8), 1);
        ck_assert_uint_eq(load_le32(x2apic + 12), i);
    }
    ck_assert_ptr_null(entry(madt, MADT_ENTRIES, 9, SAMPLE_CPUS - 255));
    ck_assert_ptr_nonnull(entry(madt, MADT_ENTRIES, 4, 0));
    ck_assert_ptr_nonnull(entry(madt, MADT_ENTRIES, 10, 0));
}
END_TEST

START_TEST(madt_lists_ioapics_and_overrides)
{
    AcpiMicrovm vm = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&vm);
    const uint8_t *madt = acpi_sample_table(set, "APIC");
    const uint8_t *ioapic = entry(madt, MADT_ENTRIES, 1, 1);
    const uint8_t *edge = entry(madt, MADT_ENTRIES, 2, 0);
    const uint8_t *level = entry(madt, MADT_ENTRIES, 2, 1);

    ck_assert_uint_eq(ioapic[2], 1);
    ck_assert_uint_eq(load_le32(ioapic + 4), 0xfec10000);
    ck_assert_uint_eq(load_le32(ioapic + 8), 24);
    ck_assert_uint_eq(edge[3], 0);
    ck_assert_uint_eq(load_le32(edge + 4), 2);
    ck_assert_uint_eq(load_le16(edge + 8), 0x05);
    ck_assert_uint_eq(level[3], 9);
    ck_assert_uint_eq(load_le16(level + 8), 0x0d);
}
END_TEST

START_TEST(numa_tables_appear_only_with_nodes)
{
    AcpiMicrovm vm = acpi_sample_plain();
    g_autoptr(GByteArray) plain = acpi_microvm_build(&vm);

    ck_assert_ptr_null(acpi_sample_table(plain, "SRAT"));
    ck_assert_ptr_null(acpi_sample_table(plain, "SLIT"));

    AcpiMicrovm numa = acpi_sample_full();
    g_autoptr(GByteArray) set = acpi_microvm_build(&numa);
    const uint8_t *srat = acpi_sample_table(set, "SRAT");
    const uint8_t *slit = acpi_sample_table(set, "SLIT");
    const uint8_t *memory = entry(srat, SRAT_ENTRIES, 1, 1);

    ck_assert_uint_eq(entry(srat, SRAT_ENTRIES, 0, 3)[2], 1);
    ck_assert_uint_eq(load_le32(entry(srat, SRAT_ENTRIES, 2, 0) + 4), 1);
    ck_assert_uint_eq(load_le32(entry(srat, SRAT_ENTRIES, 2, 0) + 8), 255);
    ck_assert_uint_eq(load_le32(memory + 2), 1);
    ck_assert_uint_eq(load_le64(memory + 8), UINT64_C(0x100000000));
    ck_assert_uint_eq(load_le64(memory + 16), UINT64_C(0x140000000));
    ck_assert_uint_eq(load_le64(slit + SLIT_COUNT), 2);
    ck_assert_mem_eq(slit + SLIT_MATRIX, numa.topology.distances, 4);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("acpi_microvm");

    tcase_add_test(tc, every_table_adds_up_to_zero_inside_the_set);
    tcase_add_test(tc, fadt_is_reduced_and_names_the_registers);
    tcase_add_test(tc, boot_flags_say_what_legacy_is_there);
    tcase_add_test(tc, dsdt_has_what_the_vm_has_and_no_more);
    tcase_add_test(tc, each_event_has_its_bit);
    tcase_add_test(tc, each_virtio_slot_has_its_window_and_interrupt);
    tcase_add_test(tc, vmclock_has_a_page_that_the_guest_only_reads);
    tcase_add_test(tc, madt_lists_cpus_by_the_width_of_their_id);
    tcase_add_test(tc, madt_lists_ioapics_and_overrides);
    tcase_add_test(tc, numa_tables_appear_only_with_nodes);
    return suite_run("acpi_microvm", tc);
}
