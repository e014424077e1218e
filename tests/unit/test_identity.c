/* SPDX-License-Identifier: Apache-2.0 */
/* Which VM tells its guest who it is: vmgenid and vmclock as a microvm has them. */
#include "machine/vm.h"

#include "devices/platform/ged.h"
#include "machine/boot/layout.h"
#include "machine/microvm.h"
#include "machine/options.h"
#include "tests/support/boot_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define CHOSEN "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"

static const VmEventSink no_events = {0};
static VmConfig *config;
static Loop *loop;

static void setup(void)
{
    config = vm_config_new();
    config->accel = ACCEL_QTEST;
    loop = loop_new("test");
}

static void teardown(void)
{
    loop_free(loop);
    vm_config_free(config);
}

static void add_device(const char *text)
{
    g_ptr_array_add(config->devices, props_parse(text, "driver", NULL));
}

static Vm *make(void)
{
    g_autoptr(GError) error = NULL;
    Vm *vm = vm_new(config, loop, &no_events, NULL, &error);

    ck_assert_msg(vm != NULL, "%s", error ? error->message : "");
    ck_assert_msg(vm_boot(vm, &error), "%s", error ? error->message : "");
    return vm;
}

static void check_refused(const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Vm) vm = vm_new(config, loop, &no_events, NULL, &error);

    ck_assert_ptr_null(vm);
    ck_assert_msg(strstr(error->message, words) != NULL, "%s", error->message);
}

START_TEST(a_vm_with_acpi_has_both_without_asking)
{
    g_autoptr(Vm) vm = make();
    char text[TEXT_UUID_SIZE];
    uint8_t ram[8];

    ck_assert_ptr_nonnull(vm_find_device(vm, "vmgenid"));
    ck_assert_ptr_nonnull(vm_find_device(vm, "vmclock"));
    ck_assert(vm_generation_id(vm, text));
    ck_assert(guest_mem_read(vm->memory, GPA(BOOT_GENERATION), ram, 8, NULL));
    ck_assert_uint_ne(load_le64(ram), 0);
    ck_assert(guest_mem_read(vm->memory, GPA(BOOT_VMCLOCK), ram, 4, NULL));
    ck_assert_mem_eq(ram, "VCLK", 4);
}
END_TEST

START_TEST(what_the_user_says_takes_the_place_of_the_machines_own)
{
    char text[TEXT_UUID_SIZE];

    add_device("vmgenid,guid=" CHOSEN);

    g_autoptr(Vm) vm = make();

    ck_assert_ptr_nonnull(vm_find_device(vm, "vmgenid"));
    ck_assert(vm_generation_id(vm, text));
    ck_assert_str_eq(text, CHOSEN);
}
END_TEST

START_TEST(there_is_one_of_each)
{
    add_device("vmgenid,id=a");
    add_device("vmgenid,id=b");
    check_refused("device b: there can be one vmgenid only");
}
END_TEST

START_TEST(an_id_that_is_none_is_told)
{
    add_device("vmgenid,guid=324e6eaf");
    check_refused("property 'guid' is '324e6eaf': expected auto or a UUID");
}
END_TEST

START_TEST(without_acpi_a_guest_could_not_find_them)
{
    char text[TEXT_UUID_SIZE];

    config->machine.acpi = ON_OFF_AUTO_OFF;

    g_autoptr(Vm) vm = make();

    ck_assert(!vm_generation_id(vm, text));
    add_device("vmclock");
    check_refused("device vmclock: this machine has no place for it");
}
END_TEST

START_TEST(a_restore_raises_an_event_for_each)
{
    const DeviceRestore restore = {.cloned = true};
    g_autoptr(Vm) vm = make();
    char before[TEXT_UUID_SIZE];
    char after[TEXT_UUID_SIZE];
    uint64_t events;

    ck_assert(vm_generation_id(vm, before));
    for (guint i = 0; i < vm->devices->len; i++) {
        ck_assert(device_restored(vm->devices->pdata[i], &restore, NULL));
    }
    ck_assert(vm_generation_id(vm, after));
    ck_assert_str_ne(before, after);
    ck_assert(bus_read(vm->mmio, MICROVM_GED + GED_EVENT, 4, &events));
    ck_assert_uint_eq(events, 1u << 1 | 1u << 2);
}
END_TEST

/* If ((Local0 & mask)) { Notify (\_SB.NAME, 0x80) } somewhere in the tables. */
static void check_notified(const Vm *vm, uint8_t mask, const char *name)
{
    uint8_t code[18] = {0x7b, 0x60, 0x0a, mask, 0x00, 0x86, '\\', 0x2e, '_', 'S', 'B', '_'};
    const uint8_t *tables =
        guest_mem_ptr(vm->memory, GPA(BOOT_ACPI), BOOT_VMCLOCK - BOOT_ACPI, GUEST_READ, NULL);

    memcpy(code + 12, name, 4);
    code[16] = 0x0a;
    code[17] = 0x80;
    if (mask == 1) { /* an opcode of its own */
        memmove(code + 2, code + 3, sizeof(code) - 3);
    }
    ck_assert_msg(memmem(tables, BOOT_VMCLOCK - BOOT_ACPI, code, sizeof(code) - (mask == 1)),
                  "no table notifies %s of event 0x%02x", name, mask);
}

/* What the machine raises is what its tables make of it. */
START_TEST(the_tables_notify_who_is_meant_by_each_event)
{
    const SampleElf elf = boot_sample_elf();
    uint64_t events;
    char path[] = "/tmp/stencil-identity-XXXXXX";
    int fd = g_mkstemp(path);

    ck_assert_int_eq(write(fd, &elf, sizeof(elf)), sizeof(elf));
    close(fd);
    config->boot.kernel = g_strdup(path);

    g_autoptr(Vm) vm = make();

    unlink(path);
    ck_assert(vm_powerdown(vm, NULL));
    ck_assert(bus_read(vm->mmio, MICROVM_GED + GED_EVENT, 4, &events));
    check_notified(vm, (uint8_t)events, "PWRB");
    check_notified(vm, 1u << 1, "VGEN");
    check_notified(vm, 1u << 2, "VCLK");
}
END_TEST

START_TEST(the_id_stays_through_a_reset)
{
    g_autoptr(Vm) vm = make();
    char before[TEXT_UUID_SIZE];
    char after[TEXT_UUID_SIZE];
    uint8_t first[8];
    uint8_t second[8];

    ck_assert(vm_generation_id(vm, before));
    ck_assert(guest_mem_read(vm->memory, GPA(BOOT_GENERATION), first, sizeof(first), NULL));
    ck_assert(vm_reset(vm, /* from_guest= */ false, "host-qmp-system-reset", NULL));
    ck_assert(vm_generation_id(vm, after));
    ck_assert_str_eq(before, after);
    ck_assert(guest_mem_read(vm->memory, GPA(BOOT_GENERATION), second, sizeof(second), NULL));
    ck_assert_mem_eq(first, second, sizeof(first));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("identity");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_vm_with_acpi_has_both_without_asking);
    tcase_add_test(tc, what_the_user_says_takes_the_place_of_the_machines_own);
    tcase_add_test(tc, there_is_one_of_each);
    tcase_add_test(tc, an_id_that_is_none_is_told);
    tcase_add_test(tc, without_acpi_a_guest_could_not_find_them);
    tcase_add_test(tc, a_restore_raises_an_event_for_each);
    tcase_add_test(tc, the_tables_notify_who_is_meant_by_each_event);
    tcase_add_test(tc, the_id_stays_through_a_reset);
    return suite_run("identity", tc);
}
