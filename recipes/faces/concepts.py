# ruff: noqa: E501  (a table of words)
"""The concepts of texts about faces, and their phrasings."""

from __future__ import annotations

from dataclasses import dataclass

Meaning = dict[str, int]


@dataclass(frozen=True)
class Concept:
    """One value of an attribute and its phrasings.

    Args:
        name: for tables.
        meaning: its literals.
        things: what a face may have, "a smile": said alone, and after `with` or `who has`.
        worn: the things may also follow `wearing`.
        adjectives: before the noun.
        clauses: after the noun.
        nouns: in place of "person".
        neutral: the name of the concept that a text is compared with; empty: a text that says nothing.
    """

    name: str
    meaning: Meaning
    things: tuple[str, ...] = ()
    worn: bool = False
    adjectives: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    neutral: str = ""


def listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _concept(name: str, meaning: Meaning, *, worn: bool = False, neutral: str = "", **lists: str) -> Concept:
    return Concept(name, meaning, worn=worn, neutral=neutral, **{key: listed(text) for key, text in lists.items()})


CONCEPTS = (
    _concept(
        "glasses", {"glasses": 1}, worn=True, neutral="no glasses",
        things="glasses; eyeglasses; spectacles; specs; a pair of glasses; eyewear; a pair of spectacles",
        adjectives="bespectacled", clauses="in glasses; who wears glasses; who wears spectacles; with glasses on",
    ),
    _concept(
        "no glasses", {"glasses": 0},
        things="no glasses; no eyeglasses; no spectacles; no eyewear",
        clauses="without glasses; not wearing glasses; without spectacles; who wears no glasses; without eyeglasses; "
        "without any glasses; without a pair of glasses; with the glasses taken off",
    ),
    _concept(
        "sunglasses", {"sunglasses": 1}, worn=True,
        things="sunglasses; dark glasses; shades; a pair of sunglasses; tinted glasses; black sunglasses; dark shades",
        clauses="in sunglasses; in dark glasses; with sunglasses on; who wears sunglasses",
    ),
    _concept("no sunglasses", {"sunglasses": 0}, clauses="without sunglasses; not wearing sunglasses; with no shades"),
    _concept("clear glasses", {"glasses": 1, "sunglasses": 0}, worn=True, things="clear glasses; reading glasses"),
    _concept(
        "hat", {"hat": 1}, worn=True, neutral="no hat",
        things="a hat; a cap; headwear; a beanie; a woolly hat; a baseball cap; headgear; a knitted cap; a knitted hat",
        clauses="in a hat; in a cap; who wears a hat; with a hat on; with a cap on the head; with a hat on the head",
    ),
    _concept(
        "no hat", {"hat": 0}, things="no hat; no cap; no headwear", adjectives="bareheaded; hatless",
        clauses="without a hat; not wearing a hat; without a cap; without headwear; who wears no hat",
    ),
    _concept(
        "beard", {"beard": 1}, neutral="no beard",
        things="a beard; facial hair; a full beard; a thick beard; a long beard; a bushy beard; a dark beard",
        adjectives="bearded; unshaven", clauses="who wears a beard; with a beard on the chin",
    ),
    _concept(
        "no beard", {"beard": 0}, things="no beard; no facial hair; a shaved chin; a bare chin",
        adjectives="clean-shaven; beardless; shaved; smooth-shaven",
        clauses="without a beard; without facial hair; who has shaved; without any beard",
    ),
    _concept(
        "smile", {"smile": 1}, neutral="serious",
        things="a smile; a big smile; a broad smile; a grin; a wide grin; a laugh; a toothy smile; a happy smile; "
        "a happy face; a happy expression; a bright smile",
        adjectives="smiling; laughing; grinning; happy; cheerful; joyful; beaming",
        clauses="who smiles; who is smiling; showing teeth; who laughs; smiling broadly; that smiles; smiling happily",
    ),
    _concept(
        "serious", {"smile": 0},
        things="a serious expression; a neutral expression; a serious look; a straight face; a serious face; no smile; "
        "a stern look; a stern face; a neutral face",
        adjectives="serious; unsmiling; stern; solemn; grave; neutral-looking",
        clauses="without a smile; not smiling; who does not smile; who is not smiling; without smiling; looking serious",
    ),
    _concept(
        "open mouth", {"mouth_open": 1}, neutral="closed mouth", things="an open mouth; parted lips; open lips",
        clauses="with the mouth open; with mouth open; with lips apart", adjectives="open-mouthed",
    ),
    _concept(
        "closed mouth", {"mouth_open": 0}, things="a closed mouth; closed lips; a shut mouth",
        clauses="with the mouth closed; with mouth closed; with lips closed; with the mouth shut",
    ),
    _concept(
        "long hair", {"long_hair": 1}, neutral="short hair",
        things="long hair; very long hair; flowing hair; long flowing hair; shoulder-length hair; long locks",
        adjectives="long-haired", clauses="who has long hair; with hair below the shoulders; with the hair grown long",
    ),
    _concept(
        "short hair", {"long_hair": 0},
        things="short hair; very short hair; cropped hair; a short haircut; a short cut; close-cropped hair",
        adjectives="short-haired; crop-haired", clauses="without long hair; with the hair cut short; with hair cut short",
    ),
    _concept(
        "bald", {"bald": 1}, neutral="full hair", things="a bald head; a receding hairline; a bald patch; thin hair; no hair",
        adjectives="bald; balding; hairless; bald-headed", clauses="without hair; who is bald; who is going bald",
    ),
    _concept("full hair", {"bald": 0}, things="a full head of hair; a lot of hair; thick hair", clauses="who is not bald"),
    _concept(
        "fringe", {"fringe": 1}, neutral="no fringe",
        things="a fringe; bangs; hair over the forehead; a fringe over the forehead; long bangs; a long fringe",
        clauses="with hair on the forehead; with hair in the forehead; whose fringe covers the forehead",
    ),
    _concept(
        "no fringe", {"fringe": 0}, things="no fringe; no bangs; a bare forehead; a free forehead; an open forehead",
        clauses="without a fringe; without bangs; with the forehead bare",
    ),
    _concept(
        "black hair", {"black_hair": 1}, things="black hair; dark hair; jet black hair; raven hair; very dark hair; black locks",
        adjectives="black-haired; dark-haired; raven-haired",
    ),
    _concept(
        "blond hair", {"blond_hair": 1},
        things="blond hair; blonde hair; fair hair; golden hair; light blond hair; yellow hair; blond locks; golden locks",
        adjectives="blond; blonde; fair-haired; blond-haired; golden-haired",
    ),
    _concept(
        "grey hair", {"grey_hair": 1},
        things="grey hair; gray hair; white hair; silver hair; silvery hair; greying hair; graying hair; grey locks",
        adjectives="grey-haired; gray-haired; white-haired; silver-haired; greying",
    ),
    _concept("no grey hair", {"grey_hair": 0}, things="no grey hair; no gray hair", clauses="without grey hair; without gray hair"),
    _concept("no blond hair", {"blond_hair": 0}, clauses="without blond hair; who is not blond", things="no blond hair"),
    _concept("no black hair", {"black_hair": 0}, clauses="without black hair; without dark hair", things="no dark hair"),
    _concept(
        "child", {"child": 1}, neutral="adult",
        nouns="child; kid; toddler; little child; small child; young child; little kid; small kid; infant",
        adjectives="childlike; very young", clauses="in childhood; as a child; as a kid; at the age of a child",
    ),
    _concept("girl", {"child": 1, "feminine": 1}, nouns="little girl; small girl; young girl"),
    _concept("boy", {"child": 1, "feminine": 0}, nouns="little boy; small boy; young boy"),
    _concept("adult", {"child": 0}, nouns="adult; grown-up; adult person", adjectives="adult; grown-up; grown",
             clauses="who is not a child; as an adult"),
    _concept("young", {"young": 1}, neutral="old", nouns="young person; young adult; young grown-up",
             adjectives="young; youthful; young-looking", clauses="in youth; in young years; who looks young"),
    _concept(
        "old", {"old": 1}, neutral="young", nouns="senior; pensioner; old person; elderly person; old-age pensioner",
        things="wrinkles; a wrinkled face; an old face; wrinkled skin; an aged face",
        adjectives="old; elderly; aged; senior; older; wrinkled; very old",
        clauses="in old age; at an old age; of old age; who is old; who looks old; of advanced age",
    ),
    _concept("old woman", {"old": 1, "feminine": 1}, nouns="grandmother; grandma; old lady; elderly lady; old woman"),
    _concept("old man", {"old": 1, "feminine": 0}, nouns="grandfather; grandpa; old gentleman; old man"),
    _concept("not old", {"old": 0}, clauses="who is not old; without wrinkles", things="no wrinkles; smooth skin"),
    _concept("middle age", {"old": 0, "young": 0, "child": 0}, adjectives="middle-aged", clauses="in middle age; of middle age"),
    _concept(
        "woman", {"feminine": 1, "child": 0}, neutral="man", nouns="woman; lady; female person; female; adult woman",
        adjectives="feminine; female; womanly", clauses="who looks like a woman; of feminine look; who looks feminine",
        things="a feminine face; a feminine look; female features; feminine features",
    ),
    _concept(
        "man", {"feminine": 0, "child": 0}, nouns="man; gentleman; male person; male; guy; fellow; adult man",
        adjectives="masculine; male; manly", clauses="who looks like a man; of masculine look; who looks masculine",
        things="a masculine face; a masculine look; male features; masculine features",
    ),
    _concept("lipstick", {"lipstick": 1}, worn=True, neutral="no lipstick",
             things="lipstick; red lipstick; painted lips; red lips; made-up lips"),
    _concept("no lipstick", {"lipstick": 0}, things="no lipstick", clauses="without lipstick; not wearing lipstick"),
    _concept("turned left", {"turned_left": 1}, clauses="looking left; facing left; turned to the left; looking to the left"),
    _concept("turned right", {"turned_right": 1}, clauses="looking right; facing right; turned to the right; looking to the right"),
    _concept("frontal", {"turned_left": 0, "turned_right": 0},
             clauses="facing the camera; looking straight ahead; looking at the camera; looking into the camera"),
)  # fmt: skip
