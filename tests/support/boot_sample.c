/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/boot_sample.h"

#include "util/bytes.h"
#include "util/fd.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOTE_AT      0x100 /* in text */
#define PVH_NOTE_AT  (NOTE_AT + 12 + 4 + 8)
#define PVH_NOTE_END (PVH_NOTE_AT + 12 + 4 + 8)

static void fill(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 7 + i / 256 + 1);
    }
}

static void put_note(uint8_t *at, const char *owner, uint32_t type, uint64_t value)
{
    store_le32(at, 4);
    store_le32(at + 4, sizeof(value));
    store_le32(at + 8, type);
    memcpy(at + 12, owner, 4);
    store_le64(at + 16, value);
}

SampleElf boot_sample_elf(void)
{
    SampleElf elf = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                   .e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_version = EV_CURRENT,
                   .e_entry = 0x1000000,
                   .e_phoff = offsetof(SampleElf, segments),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = SAMPLE_SEGMENTS},
        .segments = {{.p_type = PT_LOAD,
                      .p_offset = offsetof(SampleElf, text),
                      .p_paddr = 0x1000000,
                      .p_filesz = sizeof(elf.text),
                      .p_memsz = 0x4000},
                     {.p_type = PT_LOAD,
                      .p_offset = offsetof(SampleElf, data),
                      .p_paddr = 0x1005008,
                      .p_filesz = sizeof(elf.data),
                      .p_memsz = sizeof(elf.data)},
                     {.p_type = PT_NOTE,
                      .p_offset = offsetof(SampleElf, text) + NOTE_AT,
                      .p_filesz = PVH_NOTE_END - NOTE_AT,
                      .p_align = 4}},
    };

    fill(elf.text, sizeof(elf.text));
    fill(elf.data, sizeof(elf.data));
    put_note(elf.text + NOTE_AT, "GNU", 3, 0);
    put_note(elf.text + PVH_NOTE_AT, "Xen", 18, SAMPLE_ENTRY);
    return elf;
}

void boot_sample_hide_pvh(SampleElf *elf)
{
    store_le32(elf->text + PVH_NOTE_AT + 8, 17);
}

SampleBzimage boot_sample_bzimage(void)
{
    SampleBzimage image = {
        .setup = {.setup_sects = 7,
                  .syssize = sizeof(image.kernel) / 16,
                  .boot_flag = 0xaa55,
                  .jump = 0x6aeb,
                  .header = 0x53726448,
                  .version = 0x020f,
                  .loadflags = LOADED_HIGH,
                  .initrd_addr_max = 0x7fffffff,
                  .kernel_alignment = 0x200000,
                  .relocatable_kernel = 1,
                  .xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
                  .cmdline_size = 2047,
                  .pref_address = 0x1000000,
                  .init_size = 0x100000},
    };

    fill(image.kernel, sizeof(image.kernel));
    return image;
}

int boot_sample_file(const void *data, size_t len)
{
    int fd = memfd_create("kernel", MFD_CLOEXEC);

    g_assert(fd >= 0);
    if (!fd_pwrite_all(fd, "sample", data, len, 0, NULL)) {
        fd_close(&fd);
    }
    return fd;
}

bool boot_sample_load(GuestMemory *mem, const void *data, size_t len, const char *cmdline,
                      VcpuEntry *ret_entry, GError **error)
{
    g_auto(BootImage) image = {.fd = -1};
    const KernelConfig config = {.cmdline = cmdline, .rsdp = 0xe0000};

    return boot_image_adopt(&image, boot_sample_file(data, len), "vmlinux", error) &&
           kernel_load_images(mem, &image, NULL, &config, ret_entry, error);
}

char *boot_sample_refusal(const void *data, size_t len)
{
    g_autoptr(GuestMemory) mem = guest_mem_new(NULL);
    g_autoptr(GError) error = NULL;
    VcpuEntry entry;

    if (!guest_mem_add_plain(mem, SAMPLE_RAM, &error)) {
        return g_strdup(error->message);
    }
    return boot_sample_load(mem, data, len, "", &entry, &error) ? g_strdup("accepted")
                                                                : g_strdup(error->message);
}
