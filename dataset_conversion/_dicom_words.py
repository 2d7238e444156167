"""What may be shown of the free texts in a header, where people write whom they are about."""

import re
from collections.abc import Collection, Sequence

HIDDEN = "***"

_SHORTEST_WORD = 3  # of a name that is looked for within other words
# Words that describe an image, of sequences, planes and contrast; PS3.15 calls keeping only what is
# known to be safe the Clean Descriptors Option.
_WORDS_OF_PROTOCOLS = frozenset(
    """
    adc add advance after analysis angio apt art arterial asl asset ax axi axial b before bh
    bilat bilateral blade bold bravo breast brain body c caipi caipirinha ce chest combined
    contrast cor coronal ct cube delay delayed derived dicom diff diffusion dis2d dis3d dixon
    dti dual dwi dyn dynamic dynamics early echo enhanced ep ep2d epi fast fat fatsat ffe fgre
    fiesta fl flair flash fov fs fse fspgr gad gd gradient gre grappa haste head high hires hr
    ideal in inv inversion ir iso isotropic kinetic l lava left liver loc localiser localizer late
    m map mask maximum mdc mean min mip mobiview mp mpr mprage mr mri multi multiphase native nc
    neck noise nonfat obl oblique opp out pa pd pe pelvis perf perfusion ph phase phases plus
    post pre prone prostate propeller quick r ref reg res resolve right s sag sagittal scan
    scout se sec seg sense ser series sequence set short single spair space spc spin spine spgr
    spir stack star starvibe stir sub subtract subtracted subtraction subtractions sum supine
    survey swi t t1 t1w t2 t2w te tfe thick thin thrive ti tir tirm tof tr tra trans transverse
    trufi tse turbo twist ultrafast unilateral us vibe vibrant view views vol volume w washin
    washout water wfs with without wo
    """.split()  # noqa: SIM905 - a hundred quoted words are harder to read
)
# Collections are named after these, patients hardly ever.
_WORDS_OF_BODIES = {*("brain", "breast", "head", "liver"), *("cancer", "lesion", "mass", "tumor")}
# Words that name a region: what it is, where, and how radiotherapy calls it (ICRU Report 83).
_WORDS_OF_REGIONS = frozenset(
    """
    and areola artery axilla axillary background body bone cancer carcinoma cavity center centre
    chest clip core ctv cyst dcis edema enhancing et external extent fgt fibroglandular focus
    foreground gland gtv gtvn gtvp heart idc index infiltration itv label lesion lesions lobe lung
    lymph malignant margin mass masses metastases metastasis muscle necrosis necrotic ncr ned net
    nipple nme nmle nodal node nodes non nonenhancing of outer part pectoral pectoralis primary ptv
    region rim roi satellite second secondary segment shell skin suspicious tc third tissue tumor
    tumors tumour tumours upper lower inner ventricle vessel vessels wall whole wt
    """.split()  # noqa: SIM905 - as above
)
_NUMBER = re.compile(r"(fl|ep|p|t|b)?\d{1,3}(d|st|nd|rd|th|s|sec|min|mm|ms)?|b1000")


def words_of(*texts: str) -> tuple[str, ...]:
    """The words of a name or an identifier that are long enough to be recognized.

    Those of organs and tumors are left out: public sets name their patients after them.
    """
    words = re.split(r"[\^=\s_,.\\-]+", " ".join(texts))
    found = {word for word in words if len(word) >= _SHORTEST_WORD}
    return tuple(sorted(word for word in found if word.lower() not in _WORDS_OF_BODIES))


def without_words(text: str, words: Collection[str]) -> str:
    """The text with the words hidden, even within other ones, whatever their case."""
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(re.escape(word), HIDDEN, text, flags=re.IGNORECASE)
    return " ".join(text.split())


def shown_description(text: str, name_words: Sequence[str]) -> str:
    """The words of protocols in a description, the others hidden."""
    return _shown(text, name_words, _WORDS_OF_PROTOCOLS)


def shown_label(text: str, name_words: Sequence[str]) -> str:
    """The words of regions and protocols in the label of a segment, the others hidden."""
    return _shown(text, name_words, _WORDS_OF_PROTOCOLS | _WORDS_OF_REGIONS)


def _shown(text: str, name_words: Sequence[str], known: frozenset[str]) -> str:
    parts = re.split(r"([^\W_]+)", without_words(text, name_words))
    shown = "".join(
        part if index % 2 == 0 or _is_known(part, known) else HIDDEN
        for index, part in enumerate(parts)
    )
    return re.sub(rf"(?:{re.escape(HIDDEN)})+", HIDDEN, shown)


def _is_known(word: str, known: frozenset[str]) -> bool:
    lower = word.lower()
    bare = re.sub(r"^[23]d(?=.)|(?<=\D)\d{1,2}$", "", lower)
    return bool({lower, bare} & known) or _NUMBER.fullmatch(lower) is not None
