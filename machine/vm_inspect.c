/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/vm_inspect.h"

#include "hypervisor/debug.h"
#include "hypervisor/vcpu_arch.h"
#include "util/bytes.h"
#include "util/error.h"

#include <inttypes.h>
#include <string.h>

/* A request that has come meanwhile stopped the vCPUs too; its handler starts them, or does not. */
static void let_run_again(Vm *vm)
{
    if (run_state_is_running(vm->state) && !vm->resetting && !vm_has_requests(vm)) {
        vcpus_resume(vm->vcpus);
    }
}

static bool each_vcpu(Vm *vm, VcpuFn fn, void *opaque, GError **error)
{
    bool ok;

    vcpus_pause(vm->vcpus);
    ok = vcpus_each(vm->vcpus, fn, opaque, error);
    let_run_again(vm);
    return ok;
}

bool vm_has_vcpu(const Vm *vm, int64_t vcpu, GError **error)
{
    unsigned count = vcpus_count(vm->vcpus);

    return (vcpu >= 0 && vcpu < count) ||
           fail(error, VMM_ERROR_CONFIG, "there is no vCPU %" PRId64 ": expected a number below %u",
                vcpu, count);
}

static bool call_vcpu(Vm *vm, unsigned vcpu, VcpuFn fn, void *opaque, GError **error)
{
    bool ok;

    vcpus_pause(vm->vcpus);
    ok = vcpu_call(vcpus_get(vm->vcpus, vcpu), fn, opaque, error);
    let_run_again(vm);
    return ok;
}

/* ---- memory as a vCPU sees it ---- */

#define TRANSLATE_NS INT64_C(300000) /* the main loop waits for it, and so do all vCPUs */

typedef struct Translation {
    const GuestMemory *memory;
    uint64_t address;
    uint64_t *pages;
    size_t count;
    size_t found;
} Translation;

static bool translate(Vcpu *vcpu, void *opaque, GError **error)
{
    Translation *t = opaque;
    const DebugOps *ops = vcpu->hypervisor->ops->debug;
    uint64_t page = t->address - t->address % PAGE_BYTES;
    int64_t enough = loop_now_ns() + TRANSLATE_NS;

    do {
        if (!ops->translate(vcpu, t->memory, page, &t->pages[t->found])) {
            break;
        }
        page += PAGE_BYTES;
    } while (++t->found < t->count && loop_now_ns() < enough);
    return t->found > 0 ||
           fail(error, VMM_ERROR_GUEST, "virtual address 0x%" PRIx64 " is not mapped", t->address);
}

size_t vm_translate(Vm *vm, unsigned vcpu, uint64_t address, uint64_t *ret_pages, size_t count,
                    GError **error)
{
    Translation t = {.memory = vm->memory, .address = address, .count = count};

    t.pages = ret_pages;
    return call_vcpu(vm, vcpu, translate, &t, error) ? t.found : 0;
}

/* ---- registers ---- */

typedef struct RegisterQuery {
    const char *name;
    uint8_t value[DEBUG_VALUE_BYTES];
    size_t bytes;
} RegisterQuery;

static bool read_numbered(Vcpu *vcpu, RegisterQuery *query, GError **error)
{
    const DebugOps *ops = vcpu->hypervisor->ops->debug;
    uint64_t number;

    if (!g_ascii_string_to_unsigned(query->name, 16, 0, UINT64_MAX, &number, NULL)) {
        return fail(error, VMM_ERROR_CONFIG,
                    "there is no register '%s': expected a name as in '%s', or a number in "
                    "hexadecimal",
                    query->name, debug_target.registers[debug_target.pc].name);
    }
    return ops->read_numbered(vcpu, number, query->value, &query->bytes, error);
}

static bool read_register(Vcpu *vcpu, void *opaque, GError **error)
{
    RegisterQuery *query = opaque;
    size_t size = debug_register_offset(&debug_target, debug_target.num_registers);
    g_autofree uint8_t *block = NULL;
    size_t i = 0;

    while (i < debug_target.num_registers &&
           g_ascii_strcasecmp(debug_target.registers[i].name, query->name) != 0) {
        i++;
    }
    if (i == debug_target.num_registers) {
        return read_numbered(vcpu, query, error);
    }
    block = g_malloc0(size);
    if (!vcpu->hypervisor->ops->debug->read_registers(vcpu, block, error)) {
        return false;
    }
    query->bytes = debug_register_bytes(&debug_target.registers[i]);
    memcpy(query->value, block + debug_register_offset(&debug_target, i), query->bytes);
    return true;
}

char *vm_read_register(Vm *vm, unsigned vcpu, const char *name, GError **error)
{
    RegisterQuery query = {.name = name};
    g_autoptr(GString) text = g_string_new(NULL);
    size_t zeroes;

    if (!call_vcpu(vm, vcpu, read_register, &query, error)) {
        return NULL;
    }
    for (size_t i = query.bytes; i > 0; i--) {
        g_string_append_printf(text, "%02X", query.value[i - 1]);
    }
    zeroes = strspn(text->str, "0");
    g_string_erase(text, 0, (gssize)MIN(zeroes, text->len - 1));
    return g_string_free(g_steal_pointer(&text), /* free_segment= */ FALSE);
}

/* ---- in words ---- */

static bool describe(Vcpu *vcpu, void *opaque, GError **error)
{
    char **texts = opaque;

    (void)error;
    texts[vcpu->index] = vcpu_arch_describe(vcpu);
    return true;
}

char **vm_describe_vcpus(Vm *vm, GError **error)
{
    g_auto(GStrv) texts = g_new0(char *, vcpus_count(vm->vcpus) + 1);

    return each_vcpu(vm, describe, texts, error) ? g_steal_pointer(&texts) : NULL;
}

static bool inject_nmi(Vcpu *vcpu, void *opaque, GError **error)
{
    (void)opaque;
    return vcpu_arch_nmi(vcpu, error);
}

bool vm_inject_nmi(Vm *vm, GError **error)
{
    return each_vcpu(vm, inject_nmi, /* opaque= */ NULL, error);
}
