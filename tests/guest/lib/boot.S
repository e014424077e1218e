/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the PVH entry (32-bit, flat, paging off, %ebx = start info) to C in long mode, for the boot
 * processor; and from real mode to the same place for the others.  The first 4 GiB are mapped one
 * to one in 2 MiB pages, open to user mode as well: payloads need a ring 3, not a protection.
 */
#include "tests/guest/lib/layout.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define PAGE_TABLE 0x07 /* present, writable, user */
#define PAGE_LARGE 0x87

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .text
    .code32
    .globl pvh_entry
pvh_entry:
    movl $(cpu_areas + CPU_AREA_SIZE), %esp
    pushfl
    popl boot_entry + 8
    cli
    cld
    movl %cr0, %eax
    movl %eax, boot_entry
    movl %cr4, %eax
    movl %eax, boot_entry + 4

    movl $(boot_pdpt + PAGE_TABLE), boot_pml4
    movl $(boot_pd + PAGE_TABLE), %eax
    movl $boot_pdpt, %edi
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 1b

    movl $PAGE_LARGE, %eax
    movl $boot_pd, %edi
    movl $2048, %ecx
2:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b

    lgdt boot_gdt_pointer
    call enter_long_mode
    ljmp $SEGMENT_CODE, $boot64

/* Paging on, in the compatibility half of long mode; keeps %ebx. */
enter_long_mode:
    movl %cr4, %eax
    orl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $boot_pml4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl %cr0, %eax
    orl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP), %eax
    movl %eax, %cr0
    ret

    .code64
load_data_segments:
    movl $SEGMENT_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    ret

boot64:
    call load_data_segments
    movl %ebx, %edi
    xorl %ebp, %ebp
    call payload_start_boot_cpu
3:  hlt
    jmp 3b

/*
 * Copied to AP_TRAMPOLINE before the first start-up interrupt.  Processors are started one at a
 * time; ap_stack_top is the stack of the one that is being started.
 */
    .globl ap_trampoline_begin, ap_trampoline_end
    .code16
ap_trampoline_begin:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl AP_TRAMPOLINE + ap_gdt_pointer - ap_trampoline_begin
    movl %cr0, %eax
    orl $CR0_PE, %eax
    movl %eax, %cr0
    ljmpl *AP_TRAMPOLINE + ap_target - ap_trampoline_begin
    .balign 8
ap_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
    .balign 8
ap_target:
    .long ap32
    .word SEGMENT_CODE32_BOOT
ap_trampoline_end:

    .code32
ap32:
    movl $SEGMENT_DATA, %eax
    movl %eax, %ds
    movl %eax, %ss
    movl ap_stack_top, %esp
    call enter_long_mode
    ljmp $SEGMENT_CODE, $ap64

    .code64
ap64:
    call load_data_segments
    xorl %ebp, %ebp
    call payload_start_other_cpu
4:  hlt
    jmp 4b

    .equ SEGMENT_CODE32_BOOT, 0x18

    .data
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00cf9b000000ffff /* 32-bit code, for the way up */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
    .long 0

    .bss
    .balign 4096
    .globl boot_pdpt, boot_entry
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pd:
    .skip 4 * 4096
boot_entry: /* EntryState */
    .skip 12

    .section .note.GNU-stack, "", @progbits
