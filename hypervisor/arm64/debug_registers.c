/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of an AArch64 vCPU as gdb sees them: one table, which the target description, the
 * block and the transfers from and to KVM all come from.
 */
#include "hypervisor/arm64/debug.h"
#include "hypervisor/kvm.h"
#include "hypervisor/vcpu.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

#define PSTATE_OWN_STACK(pstate) (((pstate)&0xd) == 5) /* EL1 with SP_EL1 */

enum {
    FEATURE_CORE,
    FEATURE_FPU,
    FEATURE_SYSTEM
};

static const DebugFeature features[] = {
    [FEATURE_CORE] =
        {"org.gnu.gdb.aarch64.core",
         "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"SP\" start=\"0\" end=\"0\"/>"
         "<field name=\"EL\" start=\"2\" end=\"3\"/><field name=\"nRW\" start=\"4\" end=\"4\"/>"
         "<field name=\"F\" start=\"6\" end=\"6\"/><field name=\"I\" start=\"7\" end=\"7\"/>"
         "<field name=\"A\" start=\"8\" end=\"8\"/><field name=\"D\" start=\"9\" end=\"9\"/>"
         "<field name=\"IL\" start=\"20\" end=\"20\"/><field name=\"SS\" start=\"21\" end=\"21\"/>"
         "<field name=\"V\" start=\"28\" end=\"28\"/><field name=\"C\" start=\"29\" end=\"29\"/>"
         "<field name=\"Z\" start=\"30\" end=\"30\"/><field name=\"N\" start=\"31\" end=\"31\"/>"
         "</flags>"},
    [FEATURE_FPU] =
        {"org.gnu.gdb.aarch64.fpu",
         "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
         "<vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
         "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
         "<vector id=\"v4u\" type=\"uint32\" count=\"4\"/>"
         "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/>"
         "<vector id=\"v16u\" type=\"uint8\" count=\"16\"/>"
         "<union id=\"aarch64v\"><field name=\"d\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/>"
         "<field name=\"f\" type=\"v4f\"/><field name=\"s\" type=\"v4u\"/>"
         "<field name=\"h\" type=\"v8u\"/><field name=\"b\" type=\"v16u\"/>"
         "<field name=\"q\" type=\"uint128\"/></union>"},
    [FEATURE_SYSTEM] = {"org.stencil.aarch64.system", NULL},
};

/* The source of a register that is one of two: which, PSTATE says. */
#define CURRENT_STACK 0

#define GENERAL(n)                                                                               \
    {                                                                                            \
        .name = "x" #n, .type = "int64", .bits = 64, .feature = FEATURE_CORE, .source_bytes = 8, \
        .source = ARM64_CORE_REG(regs.regs[n])                                                   \
    }
#define VECTOR(n)                                                                \
    {                                                                            \
        .name = "v" #n, .type = "aarch64v", .bits = 128, .feature = FEATURE_FPU, \
        .source_bytes = 16, .source = ARM64_CORE_REG128(fp_regs.vregs[n])        \
    }
#define SYSTEM(reg, id)                                                                           \
    {                                                                                             \
        .name = (reg), .type = "int64", .bits = 64, .feature = FEATURE_SYSTEM, .source_bytes = 8, \
        .source = (id)                                                                            \
    }

static const DebugRegister registers[] = {
    GENERAL(0),
    GENERAL(1),
    GENERAL(2),
    GENERAL(3),
    GENERAL(4),
    GENERAL(5),
    GENERAL(6),
    GENERAL(7),
    GENERAL(8),
    GENERAL(9),
    GENERAL(10),
    GENERAL(11),
    GENERAL(12),
    GENERAL(13),
    GENERAL(14),
    GENERAL(15),
    GENERAL(16),
    GENERAL(17),
    GENERAL(18),
    GENERAL(19),
    GENERAL(20),
    GENERAL(21),
    GENERAL(22),
    GENERAL(23),
    GENERAL(24),
    GENERAL(25),
    GENERAL(26),
    GENERAL(27),
    GENERAL(28),
    GENERAL(29),
    GENERAL(30),
    {.name = "sp",
     .type = "data_ptr",
     .bits = 64,
     .feature = FEATURE_CORE,
     .source_bytes = 8,
     .source = CURRENT_STACK},
#define INDEX_PC 32
    {.name = "pc",
     .type = "code_ptr",
     .bits = 64,
     .feature = FEATURE_CORE,
     .source_bytes = 8,
     .source = ARM64_CORE_REG(regs.pc)},
    {.name = "cpsr",
     .type = "cpsr_flags",
     .bits = 32,
     .feature = FEATURE_CORE,
     .source_bytes = 8,
     .source = ARM64_CORE_REG(regs.pstate)},
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
    VECTOR(16),
    VECTOR(17),
    VECTOR(18),
    VECTOR(19),
    VECTOR(20),
    VECTOR(21),
    VECTOR(22),
    VECTOR(23),
    VECTOR(24),
    VECTOR(25),
    VECTOR(26),
    VECTOR(27),
    VECTOR(28),
    VECTOR(29),
    VECTOR(30),
    VECTOR(31),
    {.name = "fpsr",
     .type = "int",
     .bits = 32,
     .feature = FEATURE_FPU,
     .source_bytes = 4,
     .source = ARM64_CORE_REG32(fp_regs.fpsr)},
    {.name = "fpcr",
     .type = "int",
     .bits = 32,
     .feature = FEATURE_FPU,
     .source_bytes = 4,
     .source = ARM64_CORE_REG32(fp_regs.fpcr)},
    SYSTEM("SP_EL0", ARM64_CORE_REG(regs.sp)),
    SYSTEM("SP_EL1", ARM64_CORE_REG(sp_el1)),
    SYSTEM("ELR_EL1", ARM64_CORE_REG(elr_el1)),
    SYSTEM("SPSR_EL1", ARM64_CORE_REG(spsr[KVM_SPSR_EL1])),
    SYSTEM("ESR_EL1", ARM64_ESR_EL1),
    SYSTEM("FAR_EL1", ARM64_FAR_EL1),
    SYSTEM("VBAR_EL1", ARM64_VBAR_EL1),
    SYSTEM("SCTLR_EL1", ARM64_SCTLR_EL1),
    SYSTEM("TCR_EL1", ARM64_TCR_EL1),
    SYSTEM("TTBR0_EL1", ARM64_TTBR0_EL1),
    SYSTEM("TTBR1_EL1", ARM64_TTBR1_EL1),
};

const DebugTarget debug_target = {
    .architecture = "aarch64",
    .features = features,
    .registers = registers,
    .num_registers = G_N_ELEMENTS(registers),
    .pc = INDEX_PC,
    .breakpoint = {0x00, 0x00, 0x20, 0xd4}, /* BRK #0 */
    .breakpoint_bytes = 4,
};

static int move(const Vcpu *vcpu, unsigned long request, uint64_t id, void *data)
{
    struct kvm_one_reg one = {.id = id, .addr = (uintptr_t)data};

    return kvm_ioctl(vcpu->fd, request, &one);
}

bool arm64_debug_get(Vcpu *vcpu, uint64_t id, uint64_t *ret_value, GError **error)
{
    int result = move(vcpu, KVM_GET_ONE_REG, id, ret_value);

    return result >= 0 || fail_errno(error, -result, "register 0x%llx", (unsigned long long)id);
}

bool arm64_debug_set(Vcpu *vcpu, uint64_t id, uint64_t value, GError **error)
{
    int result = move(vcpu, KVM_SET_ONE_REG, id, &value);

    return result >= 0 || fail_errno(error, -result, "register 0x%llx", (unsigned long long)id);
}

/* One register, as wide as KVM has it. */
typedef union Value {
    uint8_t bytes[256];
    uint64_t number;
} Value;

/* On a vCPU with SVE a vector register is the beginning of a longer one, and only that is there. */
static uint64_t longer_vector(uint64_t id)
{
    const uint64_t first = ARM64_CORE_REG128(fp_regs.vregs[0]);
    const uint64_t step = ARM64_CORE_REG128(fp_regs.vregs[1]) - first;

    return KVM_REG_ARM64_SVE_ZREG((id - first) / step, 0);
}

/* Which of KVM's registers it is now, and its value. */
static bool read_source(Vcpu *vcpu, const DebugRegister *reg, uint64_t *ret_id, Value *ret_value,
                        GError **error)
{
    uint64_t id = reg->source;
    uint64_t pstate = 0;
    int result;

    memset(ret_value, 0, sizeof(*ret_value));
    if (id == CURRENT_STACK) {
        if (!arm64_debug_get(vcpu, ARM64_CORE_REG(regs.pstate), &pstate, error)) {
            return false;
        }
        id = PSTATE_OWN_STACK(pstate) ? ARM64_CORE_REG(sp_el1) : ARM64_CORE_REG(regs.sp);
    }
    result = move(vcpu, KVM_GET_ONE_REG, id, ret_value);
    if (result < 0 && reg->source_bytes == 16) {
        id = longer_vector(id);
        result = move(vcpu, KVM_GET_ONE_REG, id, ret_value);
    }
    *ret_id = id;
    return result >= 0 || fail_errno(error, -result, "register %s", reg->name);
}

bool arm64_debug_read_registers(Vcpu *vcpu, uint8_t *ret_block, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        size_t bytes = debug_register_bytes(&registers[i]);
        Value value;
        uint64_t id;

        if (!read_source(vcpu, &registers[i], &id, &value, error)) {
            return false;
        }
        memcpy(ret_block, value.bytes, bytes);
        ret_block += bytes;
    }
    return true;
}

/* KVM knows which there are; the size is a part of the number. */
bool arm64_debug_read_numbered(Vcpu *vcpu, uint64_t number, uint8_t *ret_value, size_t *ret_bytes,
                               GError **error)
{
    uint64_t bytes = UINT64_C(1) << ((number & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
    int result =
        bytes <= DEBUG_VALUE_BYTES ? move(vcpu, KVM_GET_ONE_REG, number, ret_value) : -ENOENT;

    *ret_bytes = bytes;
    return result >= 0 || fail_errno(error, -result, "register 0x%llx", (unsigned long long)number);
}

static bool write_source(Vcpu *vcpu, const DebugRegister *reg, const uint8_t *data, GError **error)
{
    Value value;
    uint64_t id;
    int result;

    if (!read_source(vcpu, reg, &id, &value, error)) {
        return false;
    }
    memcpy(value.bytes, data, debug_register_bytes(reg));
    result = move(vcpu, KVM_SET_ONE_REG, id, &value);
    return result >= 0 || fail_errno(error, -result, "register %s", reg->name);
}

/*
 * KVM is told of what has changed only.  The stack pointer is there twice, as sp and by its level:
 * the one that was changed counts.
 */
bool arm64_debug_write_registers(Vcpu *vcpu, const uint8_t *block, GError **error)
{
    size_t size = debug_register_offset(&debug_target, G_N_ELEMENTS(registers));
    g_autofree uint8_t *before = g_malloc(size);
    size_t at = 0;

    if (!arm64_debug_read_registers(vcpu, before, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(registers); i++) {
        size_t bytes = debug_register_bytes(&registers[i]);

        if (memcmp(before + at, block + at, bytes) != 0 &&
            !write_source(vcpu, &registers[i], block + at, error)) {
            return false;
        }
        at += bytes;
    }
    return true;
}
