/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that the assembler files and the C files must agree about.  Read by both, so only
 * macros here.
 *
 * One CPU area per CPU, aligned to its size: the Cpu struct at the bottom, the stack growing
 * down towards it from the top.  Masking the stack pointer finds the Cpu.
 */
#ifndef TESTS_GUEST_LIB_LAYOUT_H
#define TESTS_GUEST_LIB_LAYOUT_H

#define CPU_AREA_SIZE 0x4000
#define CPU_MAX       16

/* Where an application processor starts in real mode: the page number is its start-up vector. */
#define AP_TRAMPOLINE 0x8000

/* Selectors; the order of the user ones is what SYSENTER, SYSEXIT and SYSRET demand. */
#define SEGMENT_CODE        0x08
#define SEGMENT_DATA        0x10
#define SEGMENT_USER_CODE32 0x1b
#define SEGMENT_USER_DATA   0x23
#define SEGMENT_USER_CODE   0x2b
#define SEGMENT_USER_DATA2  0x33
#define SEGMENT_TSS         0x38

#define CR0_PE              0x00000001
#define CR0_MP              0x00000002
#define CR0_NE              0x00000020
#define CR0_WP              0x00010000
#define CR0_PG              0x80000000
#define CR4_PAE             0x00000020
#define MSR_EFER            0xc0000080
#define EFER_LME            0x00000100

#define VECTOR_SYSCALL      0x80

#endif
