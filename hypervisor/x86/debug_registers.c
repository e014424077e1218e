/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of an x86-64 vCPU as gdb sees them: one table, which the target description, the
 * block and the transfers from and to KVM all come from.
 */
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu.h"
#include "hypervisor/x86/debug.h"
#include "hypervisor/x86/msr.h"
#include "util/error.h"

#include <string.h>

#define MSR_KERNEL_GS_BASE UINT32_C(0xc0000102)
#define FPU_REGISTERS      8

enum {
    FEATURE_CORE,
    FEATURE_SSE,
    FEATURE_SEGMENTS,
    FEATURE_SYSTEM
};

static const DebugFeature features[] = {
    [FEATURE_CORE] =
        {"org.gnu.gdb.i386.core",
         "<flags id=\"i386_eflags\" size=\"4\">"
         "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
         "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
         "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
         "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
         "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
         "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
         "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
         "<field name=\"VIF\" start=\"19\" end=\"19\"/>"
         "<field name=\"VIP\" start=\"20\" end=\"20\"/>"
         "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"},
    [FEATURE_SSE] =
        {"org.gnu.gdb.i386.sse",
         "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
         "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
         "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
         "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
         "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
         "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
         "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
         "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
         "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
         "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>"
         "</union>"},
    [FEATURE_SEGMENTS] = {"org.gnu.gdb.i386.segments", NULL},
    [FEATURE_SYSTEM] = {"org.stencil.x86.system", NULL},
};

/* From member of X86DebugState; the register may be wider than the member. */
#define REGISTER(number_of_bits, which_feature, member)                         \
    .bits = (number_of_bits), .feature = (which_feature),                       \
    .source_bytes = sizeof(((const X86DebugState *)NULL)->member), /* NOLINT */ \
        .source = offsetof(X86DebugState, member)
#define GENERAL(reg, gdb_type)                                                 \
    {                                                                          \
        .name = #reg, .type = (gdb_type), REGISTER(64, FEATURE_CORE, regs.reg) \
    }
/* A selector is nothing without its descriptor, so setting one would make no sense. */
#define SELECTOR(reg)                                    \
    {                                                    \
        .name = #reg, .type = "int32", .readonly = true, \
        REGISTER(32, FEATURE_CORE, sregs.reg.selector)   \
    }
#define STACK(n)                                                                  \
    {                                                                             \
        .name = "st" #n, .type = "i387_ext", .bits = 80, .feature = FEATURE_CORE, \
        .source_bytes = 10, .source = offsetof(X86DebugState, fpu.fpr[n])         \
    }
#define FLOAT(reg, member)                                                                 \
    {                                                                                      \
        .name = (reg), .type = "int", .group = "float", REGISTER(32, FEATURE_CORE, member) \
    }
/* Zero in 64-bit mode. */
#define NOTHING(reg)                                                                         \
    {                                                                                        \
        .name = (reg), .type = "int", .group = "float", .bits = 32, .feature = FEATURE_CORE, \
        .readonly = true                                                                     \
    }
#define VECTOR(n)                                                                  \
    {                                                                              \
        .name = "xmm" #n, .type = "vec128", REGISTER(128, FEATURE_SSE, fpu.xmm[n]) \
    }
#define WHOLE(reg, which_feature, member)                                   \
    {                                                                       \
        .name = (reg), .type = "int64", REGISTER(64, which_feature, member) \
    }

static const DebugRegister registers[] = {
    GENERAL(rax, "int64"),
    GENERAL(rbx, "int64"),
    GENERAL(rcx, "int64"),
    GENERAL(rdx, "int64"),
    GENERAL(rsi, "int64"),
    GENERAL(rdi, "int64"),
    GENERAL(rbp, "data_ptr"),
    GENERAL(rsp, "data_ptr"),
    GENERAL(r8, "int64"),
    GENERAL(r9, "int64"),
    GENERAL(r10, "int64"),
    GENERAL(r11, "int64"),
    GENERAL(r12, "int64"),
    GENERAL(r13, "int64"),
    GENERAL(r14, "int64"),
    GENERAL(r15, "int64"),
#define INDEX_RIP 16
    GENERAL(rip, "code_ptr"),
    {.name = "eflags",
     .type = "i386_eflags",
     .bits = 32,
     .feature = FEATURE_CORE,
     .source_bytes = 4,
     .source = offsetof(X86DebugState, regs.rflags)},
    SELECTOR(cs),
    SELECTOR(ss),
    SELECTOR(ds),
    SELECTOR(es),
    SELECTOR(fs),
    SELECTOR(gs),
    STACK(0),
    STACK(1),
    STACK(2),
    STACK(3),
    STACK(4),
    STACK(5),
    STACK(6),
    STACK(7),
    FLOAT("fctrl", fpu.fcw),
    FLOAT("fstat", fpu.fsw),
    FLOAT("ftag", ftag),
    NOTHING("fiseg"),
    NOTHING("fioff"),
    NOTHING("foseg"),
    NOTHING("fooff"),
    FLOAT("fop", fpu.last_opcode),
    VECTOR(0),
    VECTOR(1),
    VECTOR(2),
    VECTOR(3),
    VECTOR(4),
    VECTOR(5),
    VECTOR(6),
    VECTOR(7),
    VECTOR(8),
    VECTOR(9),
    VECTOR(10),
    VECTOR(11),
    VECTOR(12),
    VECTOR(13),
    VECTOR(14),
    VECTOR(15),
    {.name = "mxcsr", .type = "int", .group = "vector", REGISTER(32, FEATURE_SSE, fpu.mxcsr)},
    WHOLE("fs_base", FEATURE_SEGMENTS, sregs.fs.base),
    WHOLE("gs_base", FEATURE_SEGMENTS, sregs.gs.base),
    WHOLE("k_gs_base", FEATURE_SYSTEM, kernel_gs_base),
    WHOLE("cr0", FEATURE_SYSTEM, sregs.cr0),
    WHOLE("cr2", FEATURE_SYSTEM, sregs.cr2),
    WHOLE("cr3", FEATURE_SYSTEM, sregs.cr3),
    WHOLE("cr4", FEATURE_SYSTEM, sregs.cr4),
    WHOLE("cr8", FEATURE_SYSTEM, sregs.cr8),
    WHOLE("efer", FEATURE_SYSTEM, sregs.efer),
};

const DebugTarget debug_target = {
    .architecture = "i386:x86-64",
    .features = features,
    .registers = registers,
    .num_registers = G_N_ELEMENTS(registers),
    .pc = INDEX_RIP,
    .breakpoint = {0xcc},
    .breakpoint_bytes = 1,
};

/* KVM keeps one bit a register, 1 for one in use; a debugger expects two, 3 for an empty one. */
static uint32_t widen_tags(uint8_t tags)
{
    uint32_t wide = 0;

    for (unsigned i = 0; i < FPU_REGISTERS; i++) {
        wide |= tags & 1U << i ? 0 : 3U << (2 * i);
    }
    return wide;
}

static uint8_t narrow_tags(uint32_t wide)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < FPU_REGISTERS; i++) {
        tags |= (wide >> (2 * i) & 3) == 3 ? 0 : 1U << i;
    }
    return (uint8_t)tags;
}

void x86_debug_state_to_block(const X86DebugState *state, uint8_t *ret_block)
{
    X86DebugState with_tags = *state;
    const uint8_t *from = (const uint8_t *)&with_tags;

    with_tags.ftag = widen_tags(state->fpu.ftwx);
    memset(ret_block, 0, debug_register_offset(&debug_target, G_N_ELEMENTS(registers)));
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        memcpy(ret_block, from + registers[i].source, registers[i].source_bytes);
        ret_block += debug_register_bytes(&registers[i]);
    }
}

void x86_debug_state_from_block(X86DebugState *state, const uint8_t *block)
{
    uint8_t *to = (uint8_t *)state;

    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        if (!registers[i].readonly) {
            memcpy(to + registers[i].source, block, registers[i].source_bytes);
        }
        block += debug_register_bytes(&registers[i]);
    }
    state->fpu.ftwx = narrow_tags(state->ftag);
}

bool x86_debug_read_state(const Vcpu *vcpu, X86DebugState *ret_state, GError **error)
{
    X86DebugState state = {0};
    int result = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &state.regs);

    if (result >= 0) {
        result = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &state.sregs);
    }
    if (result >= 0) {
        result = kvm_ioctl(vcpu->fd, KVM_GET_FPU, &state.fpu);
    }
    if (result < 0) {
        return fail_errno(error, -result, "read the registers");
    }
    if (!msr_get(vcpu, MSR_KERNEL_GS_BASE, &state.kernel_gs_base, error)) {
        return false;
    }
    *ret_state = state;
    return true;
}

bool x86_debug_read_registers(Vcpu *vcpu, uint8_t *ret_block, GError **error)
{
    X86DebugState state = {0};

    if (!x86_debug_read_state(vcpu, &state, error)) {
        return false;
    }
    x86_debug_state_to_block(&state, ret_block);
    return true;
}

static bool set_part(const Vcpu *vcpu, unsigned long request, void *now, const void *before,
                     size_t size)
{
    return memcmp(now, before, size) == 0 || kvm_ioctl(vcpu->fd, request, now) >= 0;
}

/* KVM is told of what has changed only: setting system registers has side effects. */
bool x86_debug_write_registers(Vcpu *vcpu, const uint8_t *block, GError **error)
{
    X86DebugState before = {0};
    X86DebugState now;

    if (!x86_debug_read_state(vcpu, &before, error)) {
        return false;
    }
    now = before;
    x86_debug_state_from_block(&now, block);
    if (!set_part(vcpu, KVM_SET_SREGS, &now.sregs, &before.sregs, sizeof(now.sregs)) ||
        !set_part(vcpu, KVM_SET_FPU, &now.fpu, &before.fpu, sizeof(now.fpu)) ||
        !set_part(vcpu, KVM_SET_REGS, &now.regs, &before.regs, sizeof(now.regs))) {
        return fail(error, VMM_ERROR_HOST, "KVM does not take these values of the registers");
    }
    return now.kernel_gs_base == before.kernel_gs_base ||
           msr_set(vcpu, MSR_KERNEL_GS_BASE, now.kernel_gs_base, error);
}
