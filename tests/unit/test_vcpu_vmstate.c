/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of x86 vCPUs and of the VM's clock, with bytes that nobody honest wrote. */
#include "hypervisor/x86/vcpu_vmstate.h"

#include "hypervisor/cpu_model.h"
#include "hypervisor/fake.h"
#include "hypervisor/vm_state.h"
#include "tests/unit/suite.h"
#include "util/error.h"

#include <linux/kvm.h>
#include <string.h>

#define XSAVE_BYTES 4096

/* Something of everything that a table can carry. */
static VcpuState *example(void)
{
    static const uint32_t indexes[] = {0x3a, 0xce, 0x1a0, 0x277, 0x200, 0x201, 0x2ff, 0x6e0};
    static const uint32_t cpuid[] = {0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 5, 6, 7, 8};
    VcpuState *state = vcpu_state_new();

    state->present = true;
    state->mp_state = KVM_MP_STATE_HALTED;
    state->regs = (X86Regs){.rax = 1, .r15 = 15, .rip = 0xffffffff81000000, .rflags = 0x202};
    state->control = (X86Control){
        .cs = {.limit = 0xffffffff, .rights = 0xa09b, .selector = 0x10},
        .ldt = {.rights = 0x10000},
        .cr0 = 0x80050033,
        .xcr0 = 7,
        .efer = 0xd01,
        .has_pdptrs = true,
        .pdptrs = {1, 2, 3, 4},
    };
    state->debug = (X86Debug){.db = {1, 2, 3, 4}, .dr6 = 0xffff0ff0, .dr7 = 0x400};
    state->tsc = (X86Tsc){.khz = 2445404, .has_offset = true, .offset = UINT64_MAX, .value = 7};
    state->events.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
    state->events.exception.pending = true;
    state->events.exception.nr = 14;
    state->events.exception_has_payload = true;
    state->exception_payload = 0xdead0000;
    memset(state->lapic, 0x5a, sizeof(state->lapic));
    state->xsave_bytes = XSAVE_BYTES;
    state->xsave = g_malloc0(XSAVE_BYTES);
    memset(state->xsave, 0xa5, 512);
    state->num_msr_indexes = state->num_msr_values = G_N_ELEMENTS(indexes);
    state->msr_index = g_memdup2(indexes, sizeof(indexes));
    state->msr_value = g_new0(uint64_t, G_N_ELEMENTS(indexes));
    state->num_cpuid = G_N_ELEMENTS(cpuid);
    state->cpuid = g_memdup2(cpuid, sizeof(cpuid));
    return state;
}

static GByteArray *save(VcpuState *state)
{
    g_autoptr(GError) error = NULL;
    GByteArray *wire = g_byte_array_new();

    ck_assert_msg(vmstate_save(&vcpu_state_vmstate, state, wire, &error), "%s",
                  error ? error->message : "");
    return wire;
}

START_TEST(the_tables_are_in_order)
{
    ck_assert(vmstate_check(&vcpu_state_vmstate, NULL));
    ck_assert(vmstate_check(&vm_state_vmstate, NULL));
}
END_TEST

START_TEST(what_was_saved_is_loaded_whole)
{
    g_autoptr(VcpuState) state = example();
    g_autoptr(VcpuState) other = vcpu_state_new();
    g_autoptr(GByteArray) first = save(state);

    ck_assert(vmstate_load(&vcpu_state_vmstate, other, first->data, first->len, NULL));

    g_autoptr(GByteArray) second = save(other);

    ck_assert_uint_eq(first->len, second->len);
    ck_assert_mem_eq(first->data, second->data, first->len);
    ck_assert_uint_eq(other->exception_payload, 0xdead0000);
    ck_assert_uint_eq(other->control.ldt.rights, 0x10000);
}
END_TEST

START_TEST(nested_state_travels_where_there_is_some)
{
    g_autoptr(VcpuState) state = example();
    g_autoptr(VcpuState) other = vcpu_state_new();
    struct kvm_nested_state nested = {.size = sizeof(nested), .format = 1};

    state->nested_bytes = sizeof(nested);
    state->nested = g_memdup2(&nested, sizeof(nested));

    g_autoptr(GByteArray) wire = save(state);

    ck_assert(vmstate_load(&vcpu_state_vmstate, other, wire->data, wire->len, NULL));
    ck_assert_uint_eq(other->nested_bytes, sizeof(nested));
    ck_assert_mem_eq(other->nested, &nested, sizeof(nested));
}
END_TEST

START_TEST(load_rejects_every_truncation)
{
    g_autoptr(VcpuState) state = example();
    g_autoptr(GByteArray) wire = save(state);

    for (guint len = 0; len < wire->len; len++) {
        g_autoptr(VcpuState) other = vcpu_state_new();

        ck_assert(!vmstate_load(&vcpu_state_vmstate, other, wire->data, len, NULL));
    }
}
END_TEST

START_TEST(a_flipped_byte_is_refused_or_makes_another_state)
{
    g_autoptr(VcpuState) state = example();
    g_autoptr(GByteArray) wire = save(state);

    for (guint i = 0; i < wire->len; i++) {
        g_autoptr(VcpuState) other = vcpu_state_new();

        wire->data[i] ^= 0xff;
        if (vmstate_load(&vcpu_state_vmstate, other, wire->data, wire->len, NULL)) {
            g_autoptr(GByteArray) again = save(other);

            ck_assert_mem_eq(wire->data, again->data, wire->len);
        }
        wire->data[i] ^= 0xff;
    }
}
END_TEST

typedef struct Damage {
    void (*break_it)(VcpuState *state);
    const char *message;
} Damage;

static void break_mp_state(VcpuState *state)
{
    state->mp_state = 5;
}

static void break_xcr0(VcpuState *state)
{
    state->control.xcr0 = 6;
}

static void break_khz(VcpuState *state)
{
    state->tsc.khz = 0;
}

static void break_rights(VcpuState *state)
{
    state->control.tr.rights = 0x100;
}

static void break_exception(VcpuState *state)
{
    state->events.exception.nr = 32;
}

static void break_flags(VcpuState *state)
{
    state->events.flags = 0x80;
}

static void break_xsave_size(VcpuState *state)
{
    state->xsave_bytes = 4095;
}

static void break_xsave_form(VcpuState *state)
{
    state->xsave[527] = 0x80;
}

static void break_cpuid(VcpuState *state)
{
    state->num_cpuid = 13;
}

static void break_cpuid_away(VcpuState *state)
{
    state->num_cpuid = 0;
}

static void break_msr_count(VcpuState *state)
{
    state->num_msr_values--;
}

static void break_msr_order(VcpuState *state)
{
    state->msr_index[5] = 0x200;
}

static void break_msr_twice(VcpuState *state)
{
    state->msr_index[1] = 0x3a;
}

static void break_msr_unknown(VcpuState *state)
{
    state->msr_index[7] = 0x6ff;
}

/* A command: KVM would write the host's time to an address of the template's choice. */
static void break_msr_command(VcpuState *state)
{
    state->msr_index[7] = 0x4b564d00;
}

static void break_nested_size(VcpuState *state)
{
    state->nested_bytes = 127;
    state->nested = g_malloc0(127);
}

static void break_nested_claim(VcpuState *state)
{
    struct kvm_nested_state nested = {.size = 4096};

    state->nested_bytes = sizeof(nested);
    state->nested = g_memdup2(&nested, sizeof(nested));
}

static const Damage damages[] = {
    {break_mp_state, "mp_state: 5, expected 0..4"},
    {break_xcr0, "control.xcr0: 0x6 lacks bit 0"},
    {break_khz, "tsc.khz: 0, expected a frequency"},
    {break_rights, "control.tr.rights: 0x100 has bits outside 0x1f0ff"},
    {break_exception, "events.exception.nr: 32, expected 0..31 but not 2"},
    {break_flags, "events.flags: 0x80 has bits outside 0x3f"},
    {break_xsave_size, "xsave: 4095 bytes, expected at least 4096"},
    {break_xsave_form, "xsave: 0x80 in its header at byte 527, expected 0"},
    {break_cpuid, "cpuid: 13 words, expected a multiple of 7"},
    {break_cpuid_away, "cpuid: 0 words, expected a multiple of 7"},
    {break_msr_count, "msr_value: 7 values for 8 indexes"},
    {break_msr_order, "msr_index[5]: 0x200 (variable MTRR) is out of order"},
    {break_msr_twice, "msr_index[1]: 0x3a (feature control) is out of order"},
    {break_msr_unknown, "msr_index[7]: 0x6ff (unknown) is out of order"},
    {break_msr_command, "msr_index[7]: 0x4b564d00 (KVM wall clock) is out of order"},
    {break_nested_size, "nested-virtualization/nested: 127 bytes, expected at least 128"},
    {break_nested_claim, "nested-virtualization/nested: says that it has 4096 bytes and has 128"},
};

START_TEST(load_names_what_cannot_be)
{
    g_autoptr(VcpuState) state = example();
    g_autoptr(VcpuState) other = vcpu_state_new();
    g_autoptr(GError) error = NULL;

    damages[_i].break_it(state);

    g_autoptr(GByteArray) wire = save(state);

    ck_assert(!vmstate_load(&vcpu_state_vmstate, other, wire->data, wire->len, &error));
    ck_assert_msg(g_str_has_prefix(error->message, damages[_i].message), "%s", error->message);
    ck_assert(g_error_matches(error, VMM_ERROR, VMM_ERROR_WIRE));
}
END_TEST

static bool save_fake(Vcpu *vcpu, void *opaque, GError **error)
{
    return vcpu_arch_save(vcpu, opaque, error);
}

static bool load_fake(Vcpu *vcpu, void *opaque, GError **error)
{
    return vcpu_arch_load(vcpu, NULL, opaque, error);
}

START_TEST(a_vm_without_a_processor_has_an_empty_state)
{
    static const VcpuHooks hooks = {0};
    g_autoptr(VcpuState) state = example();
    g_autoptr(VcpuState) other = vcpu_state_new();
    g_autoptr(VmState) vm = vm_state_new();
    g_autoptr(GByteArray) wire = g_byte_array_new();
    Hypervisor *hv = fake_hypervisor_new();
    Vcpus *vcpus = vcpus_new(hv, 1, &hooks, NULL, NULL);

    ck_assert(vcpus_each(vcpus, save_fake, state, NULL));
    ck_assert(!state->present);
    ck_assert(vm_state_save(hv, vm, NULL));
    ck_assert(vmstate_save(&vm_state_vmstate, vm, wire, NULL));
    ck_assert(vmstate_load(&vm_state_vmstate, vm, wire->data, wire->len, NULL));
    ck_assert(vm_state_load(hv, vm, CLOCK_CATCH_UP, NULL));
    g_byte_array_set_size(wire, 0);
    vcpu_state_free(g_steal_pointer(&state));
    state = vcpu_state_new();
    ck_assert(vmstate_save(&vcpu_state_vmstate, state, wire, NULL));
    ck_assert(vmstate_load(&vcpu_state_vmstate, other, wire->data, wire->len, NULL));
    ck_assert(vcpus_each(vcpus, load_fake, other, NULL));
    vcpus_free(vcpus);
    hypervisor_free(hv);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("vcpu_vmstate");

    tcase_add_test(tc, the_tables_are_in_order);
    tcase_add_test(tc, what_was_saved_is_loaded_whole);
    tcase_add_test(tc, nested_state_travels_where_there_is_some);
    tcase_add_test(tc, load_rejects_every_truncation);
    tcase_add_test(tc, a_flipped_byte_is_refused_or_makes_another_state);
    tcase_add_loop_test(tc, load_names_what_cannot_be, 0, (int)G_N_ELEMENTS(damages));
    tcase_add_test(tc, a_vm_without_a_processor_has_an_empty_state);
    return suite_run("vcpu_vmstate", tc);
}
