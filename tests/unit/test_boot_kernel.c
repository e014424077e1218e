/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot/kernel.h"

#include "machine/boot/layout.h"
#include "tests/support/boot_sample.h"
#include "tests/unit/suite.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/fd.h"

#include <string.h>

#define FLAT_BYTES 0x5123

/* Where things are in the PVH start info. */
enum {
    START_MODULES_COUNT = 12,
    START_MODULES = 16,
    START_CMDLINE = 24,
    START_RSDP = 32,
    START_MAP = 40,
    START_MAP_COUNT = 48,
};

static GuestMemory *new_memory(uint64_t size)
{
    GuestMemory *mem = guest_mem_new(NULL);

    ck_assert(guest_mem_add_plain(mem, size, NULL));
    return mem;
}

static const uint8_t *ram(const GuestMemory *mem, uint64_t gpa, uint64_t len)
{
    const uint8_t *p = guest_mem_ptr(mem, GPA(gpa), len, GUEST_READ, NULL);

    ck_assert_ptr_nonnull(p);
    return p;
}

/* Loads a sample with an initrd of that many bytes. */
static bool load_with_initrd(GuestMemory *mem, const void *kernel, size_t len, size_t initrd_len,
                             VcpuEntry *entry, GError **error)
{
    g_auto(BootImage) image = {.fd = -1};
    g_auto(BootImage) initrd = {.fd = -1};
    g_autofree char *bytes = g_strnfill(initrd_len, 'i');
    const KernelConfig config = {.cmdline = "console=ttyS0", .rsdp = 0xe0000};

    return boot_image_adopt(&image, boot_sample_file(kernel, len), "vmlinux", error) &&
           boot_image_adopt(&initrd, boot_sample_file(bytes, initrd_len), "initrd.img", error) &&
           kernel_load_images(mem, &image, &initrd, &config, entry, error);
}

static void make_flat(uint8_t *flat)
{
    for (size_t i = 0; i < FLAT_BYTES; i++) {
        flat[i] = (uint8_t)(i * 3 + 0xfc);
    }
}

START_TEST(flat_image_is_entered_at_16_mib)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    uint8_t flat[FLAT_BYTES];
    VcpuEntry entry;

    make_flat(flat);
    ck_assert(boot_sample_load(mem, flat, sizeof(flat), "", &entry, NULL));
    ck_assert_int_eq(entry.mode, VCPU_ENTRY_LONG64);
    ck_assert_uint_eq(entry.rip, 0x1000000);
    ck_assert_mem_eq(ram(mem, 0x1000000, sizeof(flat)), flat, sizeof(flat));
}
END_TEST

static const struct {
    const char *message;
    size_t offset;
    const char *magic;
    size_t magic_len;
    size_t len;
} foreign_files[] = {
    {"vmlinux: is empty", 0, "", 0, 0},
    {"vmlinux: is a gzip file, expected an ELF vmlinux, a bzImage or a flat x86-64 kernel", 0,
     "\x1f\x8b", 2, FLAT_BYTES},
    {"vmlinux: is an AArch64 kernel, expected an ELF vmlinux, a bzImage or a flat x86-64 kernel",
     0x38, "ARM\x64", 4, FLAT_BYTES},
    {"vmlinux: is a PE file without a Linux setup header, expected an ELF vmlinux, a bzImage or a "
     "flat x86-64 kernel",
     0, "MZ", 2, FLAT_BYTES},
    {"vmlinux: has 100 bytes and is neither ELF nor bzImage, expected at least 4096 of a flat "
     "kernel",
     0, "", 0, 100},
};

START_TEST(files_that_are_no_kernel_are_called_what_they_are)
{
    uint8_t file[FLAT_BYTES];

    make_flat(file);
    memcpy(file + foreign_files[_i].offset, foreign_files[_i].magic, foreign_files[_i].magic_len);

    g_autofree char *said = boot_sample_refusal(file, foreign_files[_i].len);

    ck_assert_str_eq(said, foreign_files[_i].message);
}
END_TEST

START_TEST(missing_and_irregular_files_are_named)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) irregular = NULL;
    KernelConfig config = {.kernel = "/no/such/kernel"};
    VcpuEntry entry;

    ck_assert(!kernel_load(mem, &config, &entry, &missing));
    ck_assert_str_eq(missing->message,
                     "cannot open '/no/such/kernel' for reading: No such file or directory");
    config.kernel = "/dev/null";
    ck_assert(!kernel_load(mem, &config, &entry, &irregular));
    ck_assert_str_eq(irregular->message, "/dev/null: is not a regular file");
}
END_TEST

START_TEST(kernel_and_initrd_are_loaded_from_their_paths)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    g_autoptr(GError) error = NULL;
    SampleElf elf = boot_sample_elf();
    auto_fd int kernel = boot_sample_file(&elf, sizeof(elf));
    auto_fd int initrd = boot_sample_file("initrd", 6);
    g_autofree char *kernel_path = g_strdup_printf("/proc/self/fd/%d", kernel);
    g_autofree char *initrd_path = g_strdup_printf("/proc/self/fd/%d", initrd);
    const KernelConfig config = {.kernel = kernel_path, .initrd = initrd_path};
    VcpuEntry entry;

    ck_assert_msg(kernel_load(mem, &config, &entry, &error), "%s", error ? error->message : "");

    const uint8_t *start = ram(mem, entry.rbx, 56);

    ck_assert_mem_eq(ram(mem, load_le64(ram(mem, load_le64(start + START_MODULES), 32)), 6),
                     "initrd", 6);
}
END_TEST

START_TEST(start_info_leads_to_everything)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    ck_assert(load_with_initrd(mem, &elf, sizeof(elf), 5000, &entry, NULL));

    const uint8_t *start = ram(mem, entry.rbx, 56);
    const uint8_t *module = ram(mem, load_le64(start + START_MODULES), 32);
    const uint8_t *map = ram(mem, load_le64(start + START_MAP), UINT64_C(4) * 24);

    ck_assert_uint_eq(load_le32(start), 0x336ec578);
    ck_assert_uint_eq(load_le32(start + 4), 1);
    ck_assert_uint_eq(load_le32(start + START_MODULES_COUNT), 1);
    ck_assert_uint_eq(load_le64(start + START_RSDP), 0xe0000);
    ck_assert_str_eq((const char *)ram(mem, load_le64(start + START_CMDLINE), 14), "console=ttyS0");
    ck_assert_uint_eq(load_le64(module), SAMPLE_RAM - 8192);
    ck_assert_uint_eq(load_le64(module + 8), 5000);
    ck_assert_uint_eq(load_le32(start + START_MAP_COUNT), 4);
    ck_assert_uint_eq(load_le64(map), 0);
    ck_assert_uint_eq(load_le64(map + 8), 0x9fc00);
    ck_assert_uint_eq(load_le32(map + 16), 1);
    ck_assert_uint_eq(load_le64(map + 72), MIB);
    ck_assert_uint_eq(load_le64(map + 80), SAMPLE_RAM - MIB);
}
END_TEST

START_TEST(zero_page_leads_to_everything)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    ck_assert(load_with_initrd(mem, &image, sizeof(image), 5000, &entry, NULL));

    const struct boot_params *params = (const void *)ram(mem, entry.rsi, sizeof(*params));

    ck_assert_uint_eq(params->hdr.ramdisk_image, SAMPLE_RAM - 8192);
    ck_assert_uint_eq(params->hdr.ramdisk_size, 5000);
    ck_assert_mem_eq(ram(mem, params->hdr.ramdisk_image, 5000), "iiii", 4);
    ck_assert_uint_eq(params->acpi_rsdp_addr, 0xe0000);
    ck_assert_uint_eq(params->e820_entries, 4);
    ck_assert_uint_eq(params->e820_table[3].addr, MIB);
    ck_assert_uint_eq(params->e820_table[3].size, SAMPLE_RAM - MIB);
    ck_assert_uint_eq(params->e820_table[3].type, 1);
    ck_assert_uint_eq(params->sentinel, 0);
}
END_TEST

START_TEST(a_kernel_without_a_setup_header_gets_one)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    boot_sample_hide_pvh(&elf);
    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), "quiet", &entry, NULL));

    const struct boot_params *params = (const void *)ram(mem, entry.rsi, sizeof(*params));

    ck_assert_uint_eq(params->hdr.boot_flag, 0xaa55);
    ck_assert_uint_eq(params->hdr.header, 0x53726448);
    ck_assert_uint_eq(params->hdr.type_of_loader, 0xff);
    ck_assert_uint_eq(params->hdr.cmd_line_ptr, BOOT_CMDLINE);
    ck_assert_uint_eq(params->hdr.ramdisk_size, 0);
}
END_TEST

START_TEST(page_tables_map_the_first_gib_to_itself)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &image, sizeof(image), "", &entry, NULL));

    for (uint64_t va = 0; va < GIB; va += 2 * MIB) {
        uint64_t l4 = load_le64(ram(mem, entry.cr3, PAGE_BYTES));
        uint64_t l3 = load_le64(ram(mem, align_down(l4, PAGE_BYTES), PAGE_BYTES));
        uint64_t l2 = load_le64(ram(mem, align_down(l3, PAGE_BYTES), PAGE_BYTES) + (va >> 21) * 8);

        ck_assert_uint_eq(l4 & 3, 3);
        ck_assert_uint_eq(l3 & 0x83, 3);
        ck_assert_uint_eq(l2, va | 0x83);
    }
    ck_assert_uint_eq(load_le64(ram(mem, entry.cr3, PAGE_BYTES) + 8), 0);
    ck_assert_uint_eq(entry.gdt_limit, 31);
    ck_assert_uint_eq(load_le64(ram(mem, entry.gdt_base, 32) + 16), UINT64_C(0x00af9b000000ffff));
    ck_assert_uint_eq(load_le64(ram(mem, entry.gdt_base, 32) + 24), UINT64_C(0x00cf93000000ffff));
}
END_TEST

START_TEST(initrd_stays_below_what_the_kernel_can_reach)
{
    g_autoptr(GuestMemory) mem = new_memory(2 * GIB);
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    image.setup.xloadflags = XLF_KERNEL_64;
    image.setup.initrd_addr_max = 0x37ffffff;
    ck_assert(load_with_initrd(mem, &image, sizeof(image), 4096, &entry, NULL));

    const struct boot_params *params = (const void *)ram(mem, entry.rsi, sizeof(*params));

    ck_assert_uint_eq(params->hdr.ramdisk_image, 0x37fff000);
}
END_TEST

START_TEST(an_initrd_that_does_not_fit_is_refused_with_the_room_there_is)
{
    g_autoptr(GuestMemory) mem = new_memory(0x1200000);
    g_autoptr(GError) error = NULL;
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    ck_assert(load_with_initrd(mem, &image, sizeof(image), MIB, &entry, &error));
    ck_assert(!load_with_initrd(mem, &image, sizeof(image), MIB + 1, &entry, &error));
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message,
                     "initrd.img: initrd has 1048577 bytes, guest memory has room for 1048576 "
                     "between the kernel, which ends at 0x1100000, and 0x1200000");
}
END_TEST

START_TEST(a_command_line_that_the_kernel_would_cut_is_refused)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    g_autoptr(GError) error = NULL;
    g_autofree char *fits = g_strnfill(2047, 'x');
    g_autofree char *exceeds = g_strnfill(2048, 'x');
    SampleElf elf = boot_sample_elf();
    VcpuEntry entry;

    ck_assert(boot_sample_load(mem, &elf, sizeof(elf), fits, &entry, &error));
    ck_assert(!boot_sample_load(mem, &elf, sizeof(elf), exceeds, &entry, &error));
    ck_assert_str_eq(error->message, "kernel command line has 2048 characters, this kernel takes "
                                     "at most 2047");
}
END_TEST

START_TEST(a_command_line_never_leaves_its_room)
{
    g_autoptr(GuestMemory) mem = new_memory(SAMPLE_RAM);
    g_autoptr(GError) error = NULL;
    g_autofree char *exceeds = g_strnfill(BOOT_CMDLINE_ROOM, 'x');
    SampleBzimage image = boot_sample_bzimage();
    VcpuEntry entry;

    image.setup.cmdline_size = UINT32_MAX;
    ck_assert(!boot_sample_load(mem, &image, sizeof(image), exceeds, &entry, &error));
    ck_assert_str_eq(error->message, "kernel command line has 65536 characters, this kernel takes "
                                     "at most 65535");
}
END_TEST

START_TEST(memory_too_small_for_the_kernel_is_said_so)
{
    g_autoptr(GuestMemory) mem = new_memory(8 * MIB);
    g_autoptr(GError) error = NULL;
    uint8_t flat[FLAT_BYTES];
    VcpuEntry entry;

    make_flat(flat);
    ck_assert(!boot_sample_load(mem, flat, sizeof(flat), "", &entry, &error));
    ck_assert_int_eq(error->code, VMM_ERROR_CONFIG);
    ck_assert_str_eq(error->message, "vmlinux: flat kernel takes 0x5123 bytes at guest address "
                                     "0x1000000, RAM ends at 0x800000");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("boot_kernel");

    tcase_add_test(tc, flat_image_is_entered_at_16_mib);
    tcase_add_loop_test(tc, files_that_are_no_kernel_are_called_what_they_are, 0,
                        G_N_ELEMENTS(foreign_files));
    tcase_add_test(tc, missing_and_irregular_files_are_named);
    tcase_add_test(tc, kernel_and_initrd_are_loaded_from_their_paths);
    tcase_add_test(tc, start_info_leads_to_everything);
    tcase_add_test(tc, zero_page_leads_to_everything);
    tcase_add_test(tc, a_kernel_without_a_setup_header_gets_one);
    tcase_add_test(tc, page_tables_map_the_first_gib_to_itself);
    tcase_add_test(tc, initrd_stays_below_what_the_kernel_can_reach);
    tcase_add_test(tc, an_initrd_that_does_not_fit_is_refused_with_the_room_there_is);
    tcase_add_test(tc, a_command_line_that_the_kernel_would_cut_is_refused);
    tcase_add_test(tc, a_command_line_never_leaves_its_room);
    tcase_add_test(tc, memory_too_small_for_the_kernel_is_said_so);
    return suite_run("boot_kernel", tc);
}
