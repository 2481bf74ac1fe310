"""Endings of picture-like files that are not read, and what to do about them."""

from typing import NamedTuple

from tigon.errors import install

POINTER = b"version https://git-lfs.github.com/spec/"  # start of a git-lfs pointer
EXTRAS = ("heic", "avif")  # extras of tigon that install a Pillow plug-in


class Group(NamedTuple):
    """Files that are passed over because of their endings: a name for one, and what to do."""

    name: str
    remedy: str
    endings: str


GROUPS = {
    "heic": Group("HEIC picture", "", ".heic .heif .hif"),
    "avif": Group("AVIF picture", "", ".avif .avifs"),
    "jxl": Group("JPEG XL picture", "djxl A.jxl A.png converts one", ".jxl"),
    "raw": Group(
        "raw photograph",
        "darktable-cli A.NEF A.png converts one",
        ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf "
        ".raw .rw2 .rwl .sr2 .srf .srw .x3f",
    ),
    "video": Group(
        "video",
        "ffmpeg -i A.mp4 -vf fps=1 A-%05d.png makes pictures of one",
        ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .webm .wmv",
    ),
    "partial": Group(
        "partly downloaded file",
        "download them to the end",
        ".aria2 .crdownload .download .filepart .icloud .opdownload .part .partial",
    ),
    "document": Group("document", "pdftoppm -png A.pdf A makes pictures of one", ".djvu .pdf"),
    "drawing": Group(
        "drawing", "inkscape A.svg -o A.png converts one", ".ai .emf .eps .ps .svg .svgz .wmf"
    ),
    "archive": Group(
        "archive", "unpack them", ".7z .rar .tar .tar.bz2 .tar.gz .tar.xz .tbz2 .tgz .txz .zip"
    ),
    "npz": Group(
        "array file", "give one by itself, or several by a pattern such as '*.npz'", ".npz"
    ),
    "npy": Group("array file", "numpy.savez('A.npz', images=array) makes what is read", ".npy"),
    "other": Group(
        "picture of a format that is not read",
        "convert them to PNG",
        ".cdr .dcm .dicom .exr .hdr .jxr .kra .nii .nii.gz .ora .wdp .xcf",
    ),
}
BY_ENDING = {ending: name for name, group in GROUPS.items() for ending in group.endings.split()}


def remedy(group: str) -> str:
    """Return what to do about the files of a group."""
    return f"{install(group)} reads them" if group in EXTRAS else GROUPS[group].remedy


def group_of(ending: str) -> str:
    """Return the group that an ending belongs to."""
    return BY_ENDING.get(ending, "other")
