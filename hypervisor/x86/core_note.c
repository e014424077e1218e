/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a core file says of an x86 vCPU besides what Linux's own core files say: segments, tables and
 * control registers, as QEMU lays them out (version 1).
 *
 *     version, size | general registers, rip, rflags | ten segments | cr0 to cr4 | kernel_gs_base
 */
#include "hypervisor/vcpu_arch.h"
#include "hypervisor/x86/debug.h"

#define NOTE_VERSION 1
#define NOTE_BYTES   440

static void add32(GByteArray *note, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    g_byte_array_append(note, (const uint8_t *)&value, sizeof(value));
}

static void add64(GByteArray *note, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    g_byte_array_append(note, (const uint8_t *)&value, sizeof(value));
}

/* The upper half of a descriptor without its base and limit. */
static uint32_t segment_flags(const struct kvm_segment *s)
{
    return (uint32_t)s->type << 8 | (uint32_t)s->s << 12 | (uint32_t)s->dpl << 13 |
           (uint32_t)s->present << 15 | (uint32_t)s->avl << 20 | (uint32_t)s->l << 21 |
           (uint32_t)s->db << 22 | (uint32_t)s->g << 23;
}

static void add_segment(GByteArray *note, const struct kvm_segment *s)
{
    add32(note, s->selector);
    add32(note, s->limit);
    add32(note, segment_flags(s));
    add32(note, 0);
    add64(note, s->base);
}

static void add_table(GByteArray *note, const struct kvm_dtable *table)
{
    add_segment(note, &(struct kvm_segment){.base = table->base, .limit = table->limit});
}

static void add_general(GByteArray *note, const struct kvm_regs *r)
{
    const uint64_t values[] = {
        r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rsp, r->rbp, r->r8,
        r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        add64(note, values[i]);
    }
}

void x86_core_note_encode(const X86DebugState *state, GByteArray *note)
{
    const struct kvm_sregs *s = &state->sregs;
    const struct kvm_segment *const segments[] = {&s->cs, &s->ds, &s->es,  &s->fs,
                                                  &s->gs, &s->ss, &s->ldt, &s->tr};
    const uint64_t control[] = {s->cr0, 0, s->cr2, s->cr3, s->cr4};

    add32(note, NOTE_VERSION);
    add32(note, NOTE_BYTES);
    add_general(note, &state->regs);
    for (size_t i = 0; i < G_N_ELEMENTS(segments); i++) {
        add_segment(note, segments[i]);
    }
    add_table(note, &s->gdt);
    add_table(note, &s->idt);
    for (size_t i = 0; i < G_N_ELEMENTS(control); i++) {
        add64(note, control[i]);
    }
    add64(note, state->kernel_gs_base);
}

bool vcpu_arch_core_note(Vcpu *vcpu, GByteArray *note, GError **error)
{
    X86DebugState state;

    if (vcpu->fd < 0) {
        return true;
    }
    if (!x86_debug_read_state(vcpu, &state, error)) {
        return false;
    }
    x86_core_note_encode(&state, note);
    return true;
}
