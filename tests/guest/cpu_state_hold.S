/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waiting loop of cpu_state.c.  Whenever the machine is frozen here, all general registers but
 * three and all flags hold patterns: the line status is tested by looking it up in a table, because
 * moves and JRCXZ leave the flags alone.
 */
#include "tests/guest/lib/serial.h"

#define FLAGS 0x240cd7 /* ID AC OF DF SF ZF AF PF CF, interrupts off */

    .text
    .code64
    .globl cpu_state_hold
cpu_state_hold:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movq %rsp, saved_stack
    pushq $FLAGS
    popfq
    movq cpu_state_patterns + 0, %rbx
    movq cpu_state_patterns + 8, %rbp
    movq cpu_state_patterns + 16, %rsi
    movq cpu_state_patterns + 24, %rdi
    movq cpu_state_patterns + 32, %r8
    movq cpu_state_patterns + 40, %r9
    movq cpu_state_patterns + 48, %r10
    movq cpu_state_patterns + 56, %r11
    movq cpu_state_patterns + 64, %r12
    movq cpu_state_patterns + 72, %r13
    movq cpu_state_patterns + 80, %r14
    movq cpu_state_patterns + 88, %r15
    movl $(SERIAL_PORT + SERIAL_LSR), %edx
1:  inb %dx, %al
    movzbl %al, %ecx
    movzbl data_ready(%rcx), %ecx
    jrcxz 1b
    movl $SERIAL_PORT, %edx
    inb %dx, %al
    movq saved_stack, %rcx
    movq (%rcx), %rax
    movq %rbx, 0(%rax)
    movq %rbp, 8(%rax)
    movq %rsi, 16(%rax)
    movq %rdi, 24(%rax)
    movq %r8, 32(%rax)
    movq %r9, 40(%rax)
    movq %r10, 48(%rax)
    movq %r11, 56(%rax)
    movq %r12, 64(%rax)
    movq %r13, 72(%rax)
    movq %r14, 80(%rax)
    movq %r15, 88(%rax)
    movq %rcx, %rsp
    pushfq
    popq 96(%rax)
    pushq $2
    popfq
    popq %rdi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .section .rodata
    .balign 8
    .globl cpu_state_patterns, cpu_state_flags
cpu_state_patterns:
    .quad 0x0123456789abcdef, 0x1032547698badcfe, 0xfedcba9876543210, 0xefcdab8967452301
    .quad 0x8000000000000001, 0x00000000ffffffff, 0xffffffff00000000, 0x5555555555555555
    .quad 0xaaaaaaaaaaaaaaaa, 0x7fffffffffffffff, 0x0101010101010101, 0xdeadbeefcafef00d
cpu_state_flags:
    .quad FLAGS
data_ready:
    .rept 128
    .byte 0, 1
    .endr

    .bss
    .balign 8
saved_stack:
    .quad 0

    .section .note.GNU-stack, "", @progbits
