# SPDX-License-Identifier: Apache-2.0
"""A command line that cannot work ends at once, with one message that helps."""
from tests.linux.runner import Cases

case = Cases()

START_LIMIT = 10.0


def refused(lab, *words, says=()) -> None:
    lab.only("stencil", "its messages are its own")
    kernel = f"{lab.host.kit}/vmlinuz-cloud"
    result = lab.host.run([lab.vmm.program, "-machine", "microvm", "-kernel", kernel, *words],
                          timeout=START_LIMIT)
    assert result.status not in (0, 124) and result.status > 0, result
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in says:
        assert word in result.stderr, f"no {word!r} in: {result.stderr}"


@case()
def an_unknown_option_is_told_with_the_nearest_known_one(lab):
    refused(lab, "-memroy", "256M", says=("-memroy",))
    refused(lab, "-apend", "quiet", says=("-apend", "-append"))


@case()
def an_unknown_property_is_told_with_the_nearest_known_one(lab):
    refused(lab, "-drive", "file=/kit/root.ext4,id=a,readnoly=on",
            "-device", "virtio-blk-device,drive=a", says=("readnoly", "readonly"))


@case()
def a_missing_file_is_told_by_name(lab):
    refused(lab, "-initrd", "/no/such/file", says=("/no/such/file",))


@case()
def a_drive_that_no_one_defined_is_told_by_name(lab):
    refused(lab, "-device", "virtio-blk-device,drive=nobody", says=("nobody",))


@case()
def a_kernel_that_is_none_is_told(lab):
    refused(lab, "-kernel", f"{lab.host.kit}/root.ext4", says=())


@case()
def a_truncated_kernel_is_told(lab):
    lab.only("stencil", "its messages are its own")
    for name in ("vmlinuz", "vmlinux"):
        path = f"{lab.host.scratch}/short"
        lab.host.check(f"head -c 100000 {lab.host.kit}/{name}-cloud > {path}")
        result = lab.host.run([lab.vmm.program, "-machine", "microvm", "-kernel", path],
                              timeout=START_LIMIT)
        assert result.status not in (0, 124) and result.status > 0, result
        assert "short" in result.stderr, result


@case()
def version_and_help_are_told(lab):
    assert lab.host.check([lab.vmm.program, "-version"]).strip()
    text = lab.host.check([lab.vmm.program, "-help"])
    for option in ("-kernel", "-append", "-smp", "-drive", "-device", "-qmp"):
        assert option in text, option
