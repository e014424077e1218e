/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions that C has no words for: ports, model-specific and control registers, CPUID, the
 * time stamp counter, interrupt flag.  Each is one instruction; none checks anything.  Reads and
 * writes that may fault are in trap.h.
 */
#ifndef TESTS_GUEST_LIB_X86_H
#define TESTS_GUEST_LIB_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

typedef struct CpuidLeaf {
    uint32_t eax;
    uint32_t ebx;
    uint32_t ecx;
    uint32_t edx;
} CpuidLeaf;

typedef struct __attribute__((packed)) TablePointer {
    uint16_t limit;
    uint64_t base;
} TablePointer;

static inline uint8_t port_read8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void port_write8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
}

static inline void port_write16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port));
}

static inline void port_write32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port));
}

static inline uint8_t mmio_read8(uint64_t address)
{
    return *(volatile uint8_t *)address;
}

static inline uint16_t mmio_read16(uint64_t address)
{
    return *(volatile uint16_t *)address;
}

static inline uint32_t mmio_read32(uint64_t address)
{
    uint32_t value;

    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

static inline void mmio_write8(uint64_t address, uint8_t value)
{
    *(volatile uint8_t *)address = value;
}

static inline void mmio_write32(uint64_t address, uint32_t value)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static inline uint64_t msr_read(uint32_t index)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (uint64_t)high << 32 | low;
}

static inline void msr_write(uint32_t index, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(index)
                     : "memory");
}

static inline CpuidLeaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    CpuidLeaf out;

    __asm__ volatile("cpuid"
                     : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx), "=d"(out.edx)
                     : "a"(leaf), "c"(subleaf));
    return out;
}

static inline uint64_t tsc_read(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

#define X86_REGISTER_ACCESS(name)                                        \
    static inline uint64_t name##_read(void)                             \
    {                                                                    \
        uint64_t value;                                                  \
        __asm__ volatile("movq %%" #name ", %0" : "=r"(value));          \
        return value;                                                    \
    }                                                                    \
    static inline void name##_write(uint64_t value)                      \
    {                                                                    \
        __asm__ volatile("movq %0, %%" #name : : "r"(value) : "memory"); \
    }

X86_REGISTER_ACCESS(cr0)
X86_REGISTER_ACCESS(cr2)
X86_REGISTER_ACCESS(cr3)
X86_REGISTER_ACCESS(cr4)
X86_REGISTER_ACCESS(cr8)
X86_REGISTER_ACCESS(dr0)
X86_REGISTER_ACCESS(dr1)
X86_REGISTER_ACCESS(dr2)
X86_REGISTER_ACCESS(dr3)
X86_REGISTER_ACCESS(dr6)
X86_REGISTER_ACCESS(dr7)

static inline void interrupts_enable(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

/* Sleeps until an interrupt has been taken: no window between the two instructions. */
static inline void interrupts_wait(void)
{
    __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

static inline void memory_barrier(void)
{
    __asm__ volatile("mfence" : : : "memory");
}

#endif
