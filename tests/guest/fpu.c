/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, SSE, AVX and what else XSAVE knows: user mode loads every register of every component with
 * its own pattern, stands at the migrate point inside a system call, and stores them all again.
 * The kernel half uses general registers only, so nobody but the monitor can have kept them.
 */
#include "tests/guest/lib/boot_info.h"
#include "tests/guest/lib/report.h"
#include "tests/guest/lib/start.h"
#include "tests/guest/lib/string.h"
#include "tests/guest/lib/trap.h"
#include "tests/guest/lib/user.h"
#include "tests/guest/lib/x86.h"

#define CR4_OSFXSR          0x00000200
#define CR4_OSXMMEXCPT      0x00000400
#define CR4_OSXSAVE         0x00040000
#define CPUID_1_ECX_XSAVE   (1u << 26)
#define CPUID_1_ECX_AVX     (1u << 28)
#define CPUID_XSAVE         0xd
#define XSAVE_X87           0
#define XSAVE_SSE           1
#define XSAVE_FIRST_OUTSIDE 2
#define XSAVE_AVX           0x4
#define XSAVE_PKRU          9
/* x87, SSE, AVX, three of AVX-512, PKRU; not the retired MPX, and AMX wants a permission. */
#define XSAVE_WANTED     0x2e7
#define XSAVE_AREA_BYTES 4096
#define XSAVE_BV_OFFSET  512
#define FXSAVE_FCW       0
#define FXSAVE_FSW       2
#define FXSAVE_FTW       4
#define FXSAVE_MXCSR     24
#define FXSAVE_ST        32
#define FXSAVE_XMM       160
#define ST_COUNT         8
#define ST_STRIDE        16
#define ST_BYTES         10
#define XMM_BYTES        256
#define PKRU_KEY_0       3      /* no access, no write */
#define FCW_PATTERN      0x0b7f /* rounds up, all exceptions masked */
#define FSW_PATTERN      0x4100 /* two condition codes, top of stack 0 */
#define MXCSR_PATTERN    0x3f80 /* rounds down, all exceptions masked */

/* Read by fpu_user.S in this order. */
typedef struct FpuHold {
    const uint8_t *load;
    uint8_t *store;
    uint64_t mask;
} FpuHold;

void fpu_user_hold(void *hold);
void fpu_user_hold_legacy(void *hold);
void fpu_user_read_xcr0(void *value);
void fpu_user_add_sse(void *values);
void fpu_user_add_avx(void *values);
void fpu_user_sqrt_x87(void *values);

static uint8_t loaded[XSAVE_AREA_BYTES] __attribute__((aligned(64)));
static uint8_t stored[XSAVE_AREA_BYTES] __attribute__((aligned(64)));

static const char *const component_names[] = {[2] = "AVX",
                                              [5] = "AVX-512 mask",
                                              [6] = "AVX-512 upper half",
                                              [7] = "AVX-512 registers 16-31",
                                              [9] = "PKRU"};

static void fill(uint8_t *at, unsigned length, unsigned seed)
{
    for (unsigned i = 0; i < length; i++) {
        at[i] = (uint8_t)(seed * 37 + i * 11 + 1);
    }
}

static void put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof(value));
}

/* A finite 80-bit number with a different mantissa in each register. */
static void fill_x87(uint8_t *area)
{
    put16(area + FXSAVE_FCW, FCW_PATTERN);
    put16(area + FXSAVE_FSW, FSW_PATTERN);
    area[FXSAVE_FTW] = 0xff;
    for (unsigned i = 0; i < ST_COUNT; i++) {
        uint8_t *st = area + FXSAVE_ST + i * ST_STRIDE;

        fill(st, 7, i + 40);
        st[7] = (uint8_t)(0x80 | i);
        put16(st + 8, (uint16_t)(0x3fff + i));
    }
}

static void fill_area(uint64_t mask)
{
    uint32_t mxcsr = MXCSR_PATTERN;

    fill_x87(loaded);
    memcpy(loaded + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
    fill(loaded + FXSAVE_XMM, XMM_BYTES, 7);
    for (unsigned i = XSAVE_FIRST_OUTSIDE; i < 64; i++) {
        CpuidLeaf leaf;

        if (!(mask >> i & 1)) {
            continue;
        }
        leaf = cpuid(CPUID_XSAVE, i);
        fill(loaded + leaf.ebx, i == XSAVE_PKRU ? sizeof(uint32_t) : leaf.eax, i + 100);
        if (i == XSAVE_PKRU) {
            /* Some hosts protect by keys whatever CR4 says: this test's own pages have key 0. */
            loaded[leaf.ebx] &= (uint8_t)~PKRU_KEY_0;
        }
    }
    memcpy(loaded + XSAVE_BV_OFFSET, &mask, sizeof(mask));
}

static void report_same(unsigned offset, unsigned length, const char *what)
{
    report(!memcmp(loaded + offset, stored + offset, length), "%s survives", what);
}

/* Not the x87 instruction and data pointers: processors differ in when they keep those. */
static void compare_area(uint64_t mask)
{
    uint64_t in_use;

    memcpy(&in_use, stored + XSAVE_BV_OFFSET, sizeof(in_use));
    report(!mask || (in_use & mask) == mask, "every component is in use: 0x%lx of 0x%lx", in_use,
           mask);
    report_same(FXSAVE_FCW, 5, "x87 control, status and tags");
    for (unsigned i = 0; i < ST_COUNT; i++) {
        if (memcmp(loaded + FXSAVE_ST + i * ST_STRIDE, stored + FXSAVE_ST + i * ST_STRIDE,
                   ST_BYTES)) {
            report(false, "x87 register %u survives", i);
        }
    }
    report_same(FXSAVE_MXCSR, 4, "MXCSR");
    report_same(FXSAVE_XMM, XMM_BYTES, "SSE");
    for (unsigned i = XSAVE_FIRST_OUTSIDE; i < ARRAY_LENGTH(component_names); i++) {
        if (mask >> i & 1) {
            CpuidLeaf leaf = cpuid(CPUID_XSAVE, i);

            report_same(leaf.ebx, i == XSAVE_PKRU ? sizeof(uint32_t) : leaf.eax,
                        component_names[i]);
        }
    }
}

static uint64_t xcr0_read(void)
{
    uint64_t value = 0;

    user_run(fpu_user_read_xcr0, &value);
    return value;
}

static void xcr0_write(uint64_t value)
{
    __asm__ volatile("xsetbv"
                     :
                     : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(0)
                     : "memory");
}

/* Leaves user mode; what user_run() returns is the vector. */
static void on_invalid_opcode(TrapFrame *frame)
{
    frame->rax = USER_CALL_EXIT;
    frame->rdi = frame->vector;
    user_system_call(frame);
}

static void test_arithmetic(bool has_avx)
{
    /* The operands, then room for the result: 1.5 + 2.25 = 3.75 in each lane; sqrt(2.25) = 1.5 */
    static uint32_t lanes[3][8] __attribute__((aligned(32)));
    static uint64_t root[2] = {0x4002000000000000, 0};
    bool is_right = true;

    for (unsigned i = 0; i < 8; i++) {
        lanes[0][i] = 0x3fc00000;
        lanes[1][i] = 0x40100000;
    }
    report_equal(user_run(fpu_user_add_sse, lanes), 0, "SSE runs");
    for (unsigned i = 0; i < 4; i++) {
        is_right &= lanes[2][i] == 0x40700000;
    }
    report(is_right, "SSE adds");
    if (has_avx) {
        memset(lanes[2], 0, sizeof(lanes[2]));
        report_equal(user_run(fpu_user_add_avx, lanes), 0, "AVX runs");
        for (unsigned i = 0; i < 8; i++) {
            is_right &= lanes[2][i] == 0x40700000;
        }
        report(is_right, "AVX adds");
    }
    user_run(fpu_user_sqrt_x87, root);
    report_equal(root[1], 0x3ff8000000000000, "x87 takes a square root");
}

/* Loads, stands at the migrate point, stores, compares. */
static void test_hold(void (*hold)(void *), uint64_t mask)
{
    FpuHold areas = {loaded, stored, mask};

    fill_area(mask);
    memset(stored, 0xee, sizeof(stored));
    memset(stored + XSAVE_BV_OFFSET, 0, 64);
    user_run(hold, &areas);
    compare_area(mask);
}

static void test_legacy(void)
{
    test_arithmetic(false);
    test_hold(fpu_user_hold_legacy, 0);
    test_arithmetic(false);
}

static void test_extended(bool has_avx)
{
    uint64_t mask = cpuid(CPUID_XSAVE, 0).eax & XSAVE_WANTED;

    cr4_write(cr4_read() | CR4_OSXSAVE);
    xcr0_write(mask);
    has_avx = has_avx && (mask & XSAVE_AVX);
    report_equal(xcr0_read(), mask, "XCR0 takes every component that CPUID offers");
    report(cpuid(CPUID_XSAVE, 0).ebx <= XSAVE_AREA_BYTES, "the components fit into a page");
    report_note("components 0x%lx", mask);
    test_arithmetic(has_avx);
    test_hold(fpu_user_hold, mask);
    report_equal(xcr0_read(), mask, "XCR0 survives");
    test_arithmetic(has_avx);
}

void payload_main(void)
{
    uint32_t features = cpuid(1, 0).ecx;

    cr4_write(cr4_read() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    trap_set_handler(VECTOR_INVALID_OPCODE, on_invalid_opcode);
    if (boot_flag("emulated-host")) {
        report_note("QEMU's SVM does not intercept XSETBV, so XCR0 does not hold: no AVX here");
        features = 0;
    }
    if (features & CPUID_1_ECX_XSAVE) {
        test_extended((features & CPUID_1_ECX_AVX) != 0);
    } else {
        test_legacy();
    }
}
