"""The words for portraits, as data: what may be said of each value of each attribute, and when it is true.

Forms of a phrase, by where it goes in a sentence:
    with_   a noun phrase that is had:   "a person with {purple hair}"
    wear    a noun phrase that is worn:  "a person wearing {round glasses}"
    adj     an adjective before a noun:  "a {smiling} person"
    state   words after a noun:          "a person {without a beard}"
    noun    the noun itself:             "an old {man}"
    do      a wish, with {them}, {their} "turn {their} hair purple"
Phrases of one form are separated by " | ". Write "a" everywhere: "an" is set where a vowel follows.
{their} is "their" outside wishes.
"""

# ruff: noqa: E501 (phrases read best in long lines)

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]

FORMS = ("with_", "wear", "adj", "state", "noun", "do")


@dataclass(frozen=True, kw_only=True)
class Value:
    """One value of an attribute: when it is true, and its phrases in every form.

    `yes` holds the words (of a category) or ranges (of a scalar) for which the phrases are true; for those in `maybe`
    they are neither true nor false; for all else they are false. An empty `yes` means the value's own word.
    """

    yes: tuple[str, ...] | tuple[Range, ...] = ()
    maybe: tuple[str, ...] | tuple[Range, ...] = ()
    also: tuple[tuple[str, str], ...] = ()  # (attribute, value) that must hold too
    aside: bool = False  # overlaps other values, so not one of the classes of the attribute
    with_: str = ""
    wear: str = ""
    adj: str = ""
    state: str = ""
    noun: str = ""
    do: str = ""


HAIR_WORDS = {
    "black": ("black", "jet black"), "brown": ("brown", "brunette", "chestnut"), "blond": ("blond", "blonde", "golden"),
    "red": ("red", "ginger"), "grey": ("grey", "gray", "silver"), "white": ("white", "snow white"),
    "purple": ("purple", "violet"), "blue": ("blue", "bright blue"), "green": ("green", "bright green"),
    "pink": ("pink", "bright pink"),
}  # fmt: skip
COLOUR_WORDS = {
    "red": ("red", "bright red"), "orange": ("orange", "bright orange"), "yellow": ("yellow", "bright yellow"),
    "green": ("green", "bright green"), "teal": ("teal", "turquoise"), "blue": ("blue", "bright blue"),
    "purple": ("purple", "violet"), "grey": ("grey", "gray"),
}  # fmt: skip
NEAR = {"teal": ("blue", "green"), "blue": ("teal",), "green": ("teal",)}
"""Colours of clothes and backgrounds that one may call by each other's name."""


def _each(words: tuple[str, ...], patterns: str) -> str:
    """All patterns with each word in place of "{}"; {their} and {them} stay."""
    return " | ".join(p.strip().replace("{}", w) for w in words for p in patterns.split("|"))


def _hair(colour: str, *, maybe: tuple[str, ...] = (), with_: str = "", adj: str = "", noun: str = "",
          do: str = "") -> Value:  # fmt: skip
    words = HAIR_WORDS[colour]
    had = _each(words, "{} hair | a {} hairdo") + " | " + _each(words[:1], "hair dyed {} | hair of a {} colour | "
                "hair of a {} color | a head of {} hair | {} coloured hair | {} colored hair")  # fmt: skip
    wish = _each(words[:2], "make {their} hair {} | turn {their} hair {} | dye {their} hair {} | color {their} hair {}")
    return Value(
        maybe=maybe, with_=had + with_, adj=_each(words[:2], "{}-haired") + adj, noun=noun, do=wish + do,
        state=_each(words[:2], "whose hair is {}") + " | " + _each(words[:1], "whose hair is dyed {}"),
    )  # fmt: skip


def _background(colour: str) -> Value:
    words = COLOUR_WORDS[colour]
    return Value(
        maybe=NEAR.get(colour, ()),
        with_=_each(words, "a {} background") + " | " + _each(words[:1], "a {} wall behind"),
        state=_each(words, "in front of a {} background | against a {} background")
        + " | " + _each(words[:1], "in front of a {} wall | on a {} background | with {} behind | against a {} wall"),
        do=_each(words[:1], "make the background {} | turn the background {} | put {them} in front of a {} wall"),
    )  # fmt: skip


def _clothes(colour: str) -> Value:
    words = COLOUR_WORDS[colour]
    return Value(
        maybe=NEAR.get(colour, ()),
        wear=_each(words, "{} clothes | a {} top") + " | " + _each(words[:1], "{} clothing | a {} outfit"),
        state=_each(words, "dressed in {}") + " | " + _each(words[:1], "in {} clothes | in {} clothing | in a {} outfit"),
        do=_each(words[:1], "make {their} clothes {} | turn {their} clothes {} | dress {them} in {}"),
    )  # fmt: skip


def _eye_colour(*words: str, maybe: tuple[str, ...] = ()) -> Value:
    return Value(
        maybe=maybe,
        with_=_each(words, "{} eyes | a pair of {} eyes") + " | " + _each(words[:1], "eyes of a {} colour | "
              "eyes of a {} color | {} coloured eyes | {} irises"),
        adj=_each(words, "{}-eyed"),
        state=_each(words[:1], "whose eyes are {} | looking at you with {} eyes"),
        do=_each(words[:1], "make {their} eyes {} | turn {their} eyes {} | change the eye colour to {}"),
    )  # fmt: skip


def _side(side: str, attribute: str) -> Value:
    far, near = (-1.0, -0.4), (-1.0, -0.1)
    yes, maybe = (far, near) if side == "left" else ((0.4, 1.0), (0.1, 1.0))
    if attribute == "turn":
        return Value(
            yes=(yes,), maybe=(maybe,),
            with_=_each((side,), "a head turned to the {} | a face turned {} | a head turned {} | a gaze to the {}"),
            state=_each((side,), "looking to the {} | looking {} | facing {} | facing to the {} | turned to the {} | "
                        "turning {} | seen from the side, looking {}"),
            adj=_each((side,), "{}-facing"),
            do=_each((side,), "turn {their} head to the {} | make {them} look to the {} | make {them} look {} | "
                     "turn {them} to the {}"),
        )  # fmt: skip
    return Value(
        yes=(yes,), maybe=(maybe,),
        with_=_each((side,), "light from the {} | light on the {} side | a bright {} side"),
        state=_each((side,), "lit from the {} | in light from the {} | lit by a lamp on the {} | lit from the {} side | "
                    "in bright light from the {} side"),
        do=_each((side,), "light {them} from the {} | move the light to the {} | put a lamp on the {}"),
    )  # fmt: skip


LOW, LOWER = ((-1.0, -0.5),), ((-1.0, -0.1),)
HIGH, HIGHER = ((0.5, 1.0),), ((0.1, 1.0),)
MIDDLE, MIDDLING = ((-0.2, 0.2),), ((-0.4, 0.4),)

MAN = (("femininity", "man"),)
WOMAN = (("femininity", "woman"),)

VALUES: dict[str, dict[str, Value]] = {
    "hair_colour": {
        "black": _hair("black", with_=" | jet black curls"),
        "brown": _hair("brown", noun="brunette"),
        "blond": _hair("blond", adj=" | blond | blonde | fair-haired | golden-haired", noun="blonde | blond",
                       with_=" | fair hair", do=" | bleach {their} hair | make {them} blonde"),
        "red": _hair("red", adj=" | ginger", noun="redhead | ginger", do=" | make {them} a redhead"),
        "grey": _hair("grey", maybe=("white",), with_=" | hair gone grey | hair gone gray", adj=" | silver-haired"),
        "white": _hair("white", maybe=("grey",), with_=" | hair gone white | hair as white as snow"),
        "purple": _hair("purple", with_=" | hair dyed violet"),
        "blue": _hair("blue"),
        "green": _hair("green"),
        "pink": _hair("pink"),
        "natural": Value(yes=("black", "brown", "blond", "red", "grey", "white"), aside=True,
                         with_="natural hair | hair of a natural colour | hair of a natural color | "
                         "a natural hair colour", state="whose hair is not dyed"),
        "dyed": Value(yes=("purple", "blue", "green", "pink"), aside=True,
                      with_="dyed hair | brightly dyed hair | colourful hair | colorful hair | hair of a bright colour",
                      state="whose hair is dyed | whose hair is brightly dyed", do="dye {their} hair | color {their} hair"),
        "dark": Value(yes=("black", "brown"), maybe=("purple", "blue", "green"), aside=True,
                      with_="dark hair | dark coloured hair | hair of a dark colour", adj="dark-haired",
                      state="whose hair is dark", do="make {their} hair dark | make {their} hair darker"),
    },
    "hair_style": {
        "bald": Value(
            with_="no hair | a bald head | a shaved head | a bald scalp | a bare scalp | no hair on the head",
            adj="bald | hairless | bald-headed | completely bald",
            state="without hair | without any hair | who has lost all hair | whose head is shaved | whose head is bald",
            do="shave {their} head | remove {their} hair | remove all the hair | shave off {their} hair",
        ),
        "short": Value(
            maybe=("curly", "fringe", "mohawk", "bob", "afro", "bun"),
            with_="short hair | a short haircut | short cropped hair | a short cut | cropped hair | closely cropped hair | "
            "short-cut hair | a short hairstyle | a crop",
            adj="short-haired", state="whose hair is short | whose hair is cropped",
            do="cut {their} hair short | make {their} hair short | cut {their} hair",
        ),
        "long": Value(
            maybe=("curly", "fringe", "bun", "bob"),
            with_="long hair | long flowing hair | flowing hair | very long hair | long straight hair | a long hairstyle | "
            "hair down to the shoulders | shoulder-long hair | long locks",
            adj="long-haired", state="whose hair is long | whose hair is flowing | whose hair falls to the shoulders",
            do="make {their} hair long | grow {their} hair long | let {their} hair grow long | make {their} hair longer",
        ),
        "curly": Value(
            maybe=("afro",),
            with_="curly hair | curls | a curly hairstyle | a head of curls | long curls | hair in curls | wavy curls | "
            "wavy hair | curly locks",
            adj="curly-haired | curly | wavy-haired", state="whose hair is curly | whose hair is wavy",
            do="curl {their} hair | make {their} hair curly | make {their} hair wavy | make the hair fall in curls",
        ),
        "afro": Value(
            with_="an afro | an afro hairstyle | afro hair | a big afro | a round afro | an afro haircut | a huge afro | "
            "a big round head of hair | a big afro hairstyle",
            adj="afro-haired", state="whose hair is an afro", do="make {their} hair an afro | turn {their} hair into an afro",
        ),
        "bob": Value(
            with_="a bob | a bob cut | a bob haircut | a bob hairstyle | a bob cut hairstyle | a chin-length bob | "
            "chin-length hair | hair cut in a bob | bobbed hair",
            adj="bob-haired", state="whose hair is cut in a bob",
            do="cut {their} hair into a bob | make {their} hair a bob | cut a bob | make {their} hair chin-length",
        ),
        "mohawk": Value(
            with_="a mohawk | a mohawk haircut | a mohawk hairstyle | a punk mohawk | a punk haircut | a punk hairstyle | "
            "a tall mohawk | hair in a mohawk | a crest of hair | punk hair",
            adj="punk | mohawked", noun="punk", state="whose hair is a mohawk | whose hair is cut in a mohawk",
            do="cut {their} hair into a mohawk | turn {them} into a punk | make {them} a punk | "
            "make {their} hair a mohawk",
        ),
        "bun": Value(
            with_="a bun | a hair bun | hair in a bun | hair tied in a bun | hair up in a bun | hair tied up | a top bun | "
            "a bun on the head | a bun hairstyle",
            state="whose hair is tied in a bun | whose hair is up in a bun | whose hair is tied up",
            do="tie {their} hair in a bun | put {their} hair in a bun | tie {their} hair up | put {their} hair up",
        ),
        "fringe": Value(
            with_="a fringe | bangs | hair with bangs | hair with a fringe | a straight fringe | straight bangs | "
            "a fringe hairstyle | hair over the forehead | a fringe over the forehead | bangs over the forehead",
            state="whose hair is cut in a fringe | whose hair falls over the forehead",
            do="cut a fringe | cut {their} hair into a fringe | cut bangs | make {their} hair fall over the forehead",
        ),
        "haired": Value(
            yes=("short", "long", "curly", "afro", "bob", "mohawk", "bun", "fringe"), aside=True,
            with_="hair | hair on the head | some hair", state="who is not bald | who has hair | who has some hair",
            do="add hair | add some hair | let {their} hair grow back",
        ),
    },
    "beard": {
        "none": Value(
            maybe=("stubble",), with_="no beard | no beard at all",
            adj="beardless | unbearded", state="without a beard | without any beard | who has no beard | whose chin has no beard",
            do="remove {their} beard | shave off {their} beard | take off {their} beard | remove the whole beard",
        ),
        "stubble": Value(
            maybe=("full",), with_="stubble | some stubble | a stubble beard | a short beard | stubble on the chin | "
            "a shadow of a beard | dark stubble",
            adj="unshaven | stubbly | stubbled", state="who is badly shaven | who has not shaved | who has some stubble",
            do="make {their} beard short | let {their} stubble show | trim the beard to stubble",
        ),
        "full": Value(
            maybe=("stubble",), with_="a beard | a full beard | a bushy beard | a thick beard | a big beard | "
            "a big bushy beard | a long beard | a beard on the chin | a heavy beard",
            adj="bearded | fully bearded", state="who has a beard | who has grown a beard | whose chin has a beard",
            do="grow a beard | let {them} grow a beard | make {them} grow a beard | make {their} beard full",
        ),
        "shaven": Value(
            yes=("none",), also=(("moustache", "none"),), aside=True,
            with_="a clean-shaven face | no facial hair | a shaved face | a smooth chin | a clean-shaven chin",
            adj="clean-shaven | shaved | cleanly shaven",
            state="without facial hair | without any facial hair | who is shaved clean | who has shaved",
            do="shave {them} | remove {their} facial hair | shave {their} face | shave off {their} facial hair",
        ),
        "facial hair": Value(
            yes=("stubble", "full"), aside=True, with_="facial hair | some facial hair | hair on the chin",
            state="who has facial hair | who has some facial hair | whose face has facial hair",
            do="let {their} facial hair grow | grow facial hair",
        ),
    },
    "moustache": {
        "none": Value(
            with_="no moustache | no mustache | no hair on the lip",
            state="without a moustache | without a mustache | without any moustache | who has no moustache",
            do="remove {their} moustache | shave off {their} moustache | shave off {their} mustache | remove the mustache",
        ),
        "moustache": Value(
            with_="a moustache | a mustache | a bushy moustache | a thick moustache | a thick mustache | a big mustache | "
            "a moustache on the lip | hair on the lip",
            adj="moustached | mustached", state="who has a moustache | who has grown a mustache",
            do="grow a moustache | let {them} grow a mustache | let {them} grow a moustache",
        ),
    },
    "glasses": {
        "none": Value(
            with_="no glasses | no spectacles | no glasses on | no eyeglasses",
            state="without glasses | without spectacles | without eyeglasses | without any glasses | who has no glasses | "
            "not wearing glasses",
            do="remove {their} glasses | take off {their} glasses | take the glasses off | remove the spectacles | "
            "remove {their} spectacles",
        ),
        "round": Value(
            wear="round glasses | round spectacles | a pair of round glasses | round eyeglasses | circular glasses | "
            "a pair of round spectacles | glasses with round frames | round-rimmed glasses | circular spectacles",
            state="in round glasses | in round spectacles", do="make {their} glasses round",
        ),
        "square": Value(
            wear="square glasses | square spectacles | a pair of square glasses | square eyeglasses | rectangular glasses | "
            "a pair of square spectacles | glasses with square frames | square-rimmed glasses | rectangular spectacles",
            state="in square glasses | in square spectacles", do="make {their} glasses square",
        ),
        "sunglasses": Value(
            wear="sunglasses | shades | dark glasses | a pair of sunglasses | dark sunglasses | black sunglasses | "
            "dark shades | a pair of shades | black shades | glasses with dark lenses",
            state="in sunglasses | in shades | in dark glasses | whose eyes are hidden by sunglasses | "
            "whose eyes are hidden by shades",
            do="hide {their} eyes behind sunglasses | hide {their} eyes behind shades",
        ),
        "glasses": Value(
            yes=("round", "square"), maybe=("sunglasses",), aside=True,
            wear="glasses | spectacles | eyeglasses | a pair of glasses | a pair of spectacles | reading glasses | "
            "clear glasses | a pair of eyeglasses",
            adj="bespectacled", state="in glasses | in spectacles | who has glasses on",
            do="put on glasses | let {them} wear glasses | let {them} wear spectacles",
        ),
        "eyewear": Value(
            yes=("round", "square", "sunglasses"), aside=True,
            wear="eyewear | some eyewear | some kind of glasses | a kind of eyewear",
        ),
    },
    "expression": {
        "neutral": Value(
            with_="a neutral expression | a neutral face | no expression | a calm face | a calm expression | "
            "a serious face | a serious expression | a neutral look | a calm look | a blank expression",
            adj="calm | serious | neutral", state="looking calm | looking serious | without any expression | who looks neutral",
            do="make {them} stop smiling | calm {them} down | make {their} face neutral",
        ),
        "smiling": Value(
            with_="a smile | a happy face | a smiling face | a happy expression | a big smile | a broad smile | a grin | "
            "a cheerful look | a smile on the face | a happy smile | a friendly smile",
            adj="smiling | happy | cheerful | grinning | joyful | laughing | friendly",
            state="who smiles | looking happy | looking cheerful | who looks happy | with a smile on the lips",
            do="make {them} smile | let {them} smile | add a smile | smile | make {them} grin | make {them} laugh",
        ),
        "sad": Value(
            with_="a sad face | a sad expression | a sad look | a frown | an unhappy face | an unhappy look | "
            "a sad mouth | a gloomy look | a gloomy face | a sorrowful expression",
            adj="sad | unhappy | gloomy | sorrowful", maybe=("angry",),
            state="looking sad | looking unhappy | who looks sad | who is about to cry",
            do="make {them} frown | make {their} face sad | make {them} cry",
        ),
        "surprised": Value(
            with_="a surprised face | a surprised expression | a surprised look | an astonished look | "
            "an astonished face | a look of surprise | a shocked expression | a shocked face | an amazed look | "
            "an expression of surprise",
            adj="surprised | astonished | shocked | amazed",
            state="looking surprised | looking astonished | who looks surprised | looking shocked",
            do="surprise {them} | shock {them} | make {their} face surprised",
        ),
        "angry": Value(
            with_="an angry face | an angry expression | an angry look | a scowl | a furious look | a furious face | "
            "a look of anger | an expression of anger | a mad look | a grim scowl",
            adj="angry | furious | mad | scowling", maybe=("sad",),
            state="looking angry | looking furious | who looks angry | who looks mad",
            do="make {them} scowl | make {their} face angry | anger {them}",
        ),
        "unsmiling": Value(
            yes=("neutral", "sad", "surprised", "angry"), aside=True, with_="no smile", adj="unsmiling",
            state="without a smile | who is not smiling | not smiling | who does not smile",
            do="remove the smile | remove {their} smile | take away {their} smile",
        ),
    },
    "mouth": {
        "closed": Value(
            with_="a closed mouth | closed lips | a shut mouth | lips closed | the mouth closed | the mouth shut",
            state="whose mouth is closed | whose mouth is shut | whose lips are closed",
            do="close {their} mouth | shut {their} mouth | close the mouth",
        ),
        "open": Value(
            with_="an open mouth | open lips | parted lips | the mouth open | a wide open mouth | lips parted",
            adj="open-mouthed", state="whose mouth is open | whose lips are parted | whose mouth is wide open",
            do="open {their} mouth | open the mouth | make {their} mouth open",
        ),
    },
    "eyes": {
        "open": Value(
            with_="open eyes | both eyes open | the eyes open | eyes open",
            adj="open-eyed", state="whose eyes are open | who is awake | with {their} eyes open",
            do="open {their} eyes | open the eyes | wake {them} up",
        ),
        "closed": Value(
            with_="closed eyes | both eyes closed | the eyes closed | shut eyes | eyes shut | the eyes shut",
            adj="sleeping", state="whose eyes are closed | whose eyes are shut | who is asleep | with {their} eyes closed",
            do="close {their} eyes | shut {their} eyes | close the eyes | make {them} sleep",
        ),
    },
    "lipstick": {
        "none": Value(
            with_="no lipstick | bare lips | natural lips | no red on the lips | no lipstick on the lips",
            state="without lipstick | without any lipstick | whose lips are bare",
            do="remove {their} lipstick | remove the lipstick | take off {their} lipstick",
        ),
        "lipstick": Value(
            wear="lipstick | red lipstick | bright lipstick | bright red lipstick",
            with_="red lips | painted lips | bright red lips | lips painted red | lipstick on the lips",
            adj="red-lipped", state="whose lips are red | whose lips are painted",
            do="paint {their} lips | paint {their} lips red | make {their} lips red | put lipstick on {their} lips",
        ),
    },
    "makeup": {
        "none": Value(
            with_="no make-up | no makeup | no eye shadow | bare eyelids | no make-up around the eyes",
            state="without make-up | without makeup | without any makeup | without eye shadow",
            do="remove {their} make-up | remove {their} makeup | take off {their} make-up | remove the eye shadow",
        ),
        "makeup": Value(
            wear="make-up | makeup | eye shadow | eye make-up | eye makeup | heavy make-up | heavy makeup | "
            "colourful eye shadow",
            with_="painted eyelids | make-up around the eyes | eye shadow on the eyelids",
            adj="made-up", state="who is made up", do="let {them} wear make-up | paint {their} eyelids",
        ),
    },
    "earrings": {
        "none": Value(
            with_="no earrings | bare ears | no earrings in the ears | nothing in the ears",
            state="without earrings | without any earrings | who has no earrings | whose ears are bare",
            do="remove {their} earrings | take off {their} earrings | remove the earrings",
        ),
        "earrings": Value(
            wear="earrings | a pair of earrings | ear rings | a pair of ear rings | jewellery in the ears | "
            "jewelry in the ears | ear jewellery | ear jewelry",
            with_="earrings in the ears | rings in the ears", state="whose ears wear earrings | who has earrings",
            do="let {them} wear earrings | put rings in {their} ears",
        ),
    },
    "hat": {
        "none": Value(
            with_="no hat | a bare head | no hat on | no cap | nothing on the head | an uncovered head",
            adj="hatless | bare-headed",
            state="without a hat | without any hat | who has no hat | whose head is bare | without a cap",
            do="remove {their} hat | take off {their} hat | remove the hat | remove {their} cap",
        ),
        "cap": Value(
            wear="a cap | a baseball cap | a cap with a visor | a sports cap | a peaked cap | a hat with a visor",
            state="in a cap | in a baseball cap | whose head is covered by a cap", do="put a cap on {their} head",
        ),
        "beanie": Value(
            wear="a beanie | a woolly hat | a knitted hat | a knitted cap | a wool beanie | a winter hat | a bobble hat | "
            "a knitted beanie | a wool hat",
            state="in a beanie | in a woolly hat | whose head is covered by a beanie", do="put a beanie on {their} head",
        ),
        "brim": Value(
            wear="a hat with a brim | a brimmed hat | a wide-brimmed hat | a fedora | a hat with a wide brim | a sun hat | "
            "a fedora hat | a broad-brimmed hat | a hat with a broad brim",
            state="in a fedora | in a brimmed hat | in a sun hat", do="put a fedora on {their} head",
        ),
        "hat": Value(
            yes=("cap", "beanie", "brim"), aside=True,
            wear="a hat | some hat | a hat on the head | a kind of hat | headgear | something on the head",
            state="in a hat | who has a hat on | whose head is covered by a hat",
            do="put a hat on {their} head | let {them} wear a hat | put on a hat",
        ),
    },
    "eye_colour": {
        "brown": _eye_colour("brown", "dark brown", "hazel"),
        "blue": _eye_colour("blue", "bright blue"),
        "green": _eye_colour("green", "bright green"),
        "grey": _eye_colour("grey", "gray"),
    },
    "background": {c: _background(c) for c in COLOUR_WORDS},
    "clothes_colour": {c: _clothes(c) for c in COLOUR_WORDS},
    "clothes": {
        "t-shirt": Value(
            wear="a t-shirt | a tee | a tee shirt | a plain t-shirt | a casual t-shirt | a casual tee",
            state="in a t-shirt | in a tee | dressed in a t-shirt | dressed in a tee", do="dress {them} in a t-shirt",
        ),
        "shirt": Value(
            maybe=("t-shirt", "suit"),
            wear="a shirt | a shirt with a collar | a collared shirt | a shirt with buttons | a buttoned shirt | a blouse",
            state="in a shirt | dressed in a shirt | in a collared shirt | in a blouse", do="dress {them} in a shirt",
        ),
        "turtleneck": Value(
            wear="a turtleneck | a turtleneck sweater | a polo neck | a roll neck | a turtleneck jumper | a sweater | "
            "a jumper | a high-necked sweater",
            state="in a turtleneck | dressed in a turtleneck | in a sweater | in a polo neck",
            do="dress {them} in a turtleneck | dress {them} in a sweater",
        ),
        "suit": Value(
            wear="a suit | a business suit | a formal suit | a suit jacket | a jacket | a suit and tie | formal clothes | "
            "business clothes",
            state="in a suit | dressed in a suit | dressed formally | in a jacket | in formal clothes",
            do="dress {them} in a suit | put {them} in a suit",
        ),
    },
    "femininity": {
        "man": Value(
            yes=((0.0, 0.4),), maybe=((0.0, 0.55),), noun="man | guy | gentleman | male | fellow",
            adj="male | masculine | manly", with_="a masculine face | a male face | a manly face | strong male features | "
            "masculine features", state="who looks male | who looks masculine | who looks like a man",
            do="turn {them} into a man | make {them} a man | turn {them} into a guy",
        ),
        "woman": Value(
            yes=((0.6, 1.0),), maybe=((0.45, 1.0),), noun="woman | lady | female | gal",
            adj="female | feminine | womanly", with_="a feminine face | a female face | a womanly face | "
            "soft female features | feminine features",
            state="who looks female | who looks feminine | who looks like a woman",
            do="turn {them} into a woman | make {them} a woman | turn {them} into a lady",
        ),
        "boy": Value(yes=((0.0, 0.4),), maybe=((0.0, 0.55),), also=(("age", "young"),), aside=True,
                     noun="boy | lad", do="turn {them} into a boy"),
        "girl": Value(yes=((0.6, 1.0),), maybe=((0.45, 1.0),), also=(("age", "young"),), aside=True,
                      noun="girl", do="turn {them} into a girl"),
        "grandfather": Value(yes=((0.0, 0.4),), maybe=((0.0, 0.55),), also=(("age", "old"),), aside=True,
                             noun="grandfather | grandpa",
                             do="turn {them} into an old man | turn {them} into a grandfather"),
        "grandmother": Value(yes=((0.6, 1.0),), maybe=((0.45, 1.0),), also=(("age", "old"),), aside=True,
                             noun="grandmother | grandma",
                             do="turn {them} into an old woman | turn {them} into a grandmother"),
    },
    "age": {
        "young": Value(
            yes=((0.0, 0.3),), maybe=((0.0, 0.4),),
            with_="a young face | a youthful face | young looks | a youthful look | young skin | youthful skin",
            adj="young | youthful | young-looking | youthful-looking", noun="youngster | young adult",
            state="who looks young | of a young age | in {their} twenties | who is still young | looking young",
            do="make {them} younger | make {their} face younger | make {them} look younger",
        ),
        "middle-aged": Value(
            yes=((0.4, 0.6),), maybe=((0.3, 0.7),),
            with_="a middle-aged face | a middle-aged look", adj="middle-aged | mature | middle-aged-looking",
            noun="middle-aged adult",
            state="of middle age | in {their} forties | who looks middle-aged | of a mature age",
            do="make {them} more mature",
        ),
        "old": Value(
            yes=((0.7, 1.0),), maybe=((0.6, 1.0),),
            with_="an old face | an aged face | old looks | an elderly face | old skin | an aged look",
            adj="old | elderly | aged | very old | old-looking | elderly-looking",
            noun="senior | pensioner | senior citizen",
            state="who looks old | of old age | in {their} seventies | who looks elderly | looking old",
            do="make {them} older | age {them} | make {their} face older | make {them} look older",
        ),
        "wrinkled": Value(
            yes=((0.6, 1.0),), maybe=((0.45, 1.0),), aside=True,
            with_="wrinkles | a wrinkled face | wrinkled skin | lines in the face | many wrinkles | deep wrinkles | "
            "wrinkles on the forehead", adj="wrinkled | wrinkly", state="whose face is wrinkled | whose skin is wrinkled",
            do="add wrinkles | wrinkle {their} face",
        ),
        "smooth": Value(
            yes=((0.0, 0.4),), maybe=((0.0, 0.5),), aside=True,
            with_="no wrinkles | smooth skin | a smooth face | no lines in the face | smooth young skin",
            adj="smooth-skinned | wrinkle-free | unwrinkled",
            state="without wrinkles | without any wrinkles | whose skin is smooth | whose face is smooth",
            do="remove {their} wrinkles | smooth {their} skin | smooth out the wrinkles | remove all wrinkles",
        ),
    },
    "skin": {
        "light": Value(
            yes=((0.0, 0.3),), maybe=((0.0, 0.45),),
            with_="light skin | pale skin | fair skin | white skin | a pale face | a light complexion | a fair complexion | "
            "a pale complexion | a light skin tone | a light skin",
            adj="light-skinned | pale | fair-skinned | pale-skinned", state="whose skin is light | whose skin is pale",
            do="make {their} skin light | make {their} skin pale | make {their} skin lighter",
        ),
        "tanned": Value(
            yes=((0.4, 0.6),), maybe=((0.25, 0.75),),
            with_="tanned skin | a tanned face | a tan | brown skin | a tanned complexion | light brown skin | "
            "a brown skin tone | olive skin | a tanned skin | an olive complexion",
            adj="tanned | brown-skinned | olive-skinned | suntanned | tan", state="whose skin is tanned | whose skin is brown",
            do="tan {their} skin | make {their} skin brown | make {their} skin tanned",
        ),
        "dark": Value(
            yes=((0.7, 1.0),), maybe=((0.5, 1.0),),
            with_="dark skin | black skin | a dark complexion | dark brown skin | a dark skin tone | very dark skin | "
            "a dark face | a black face | a dark skin",
            adj="dark-skinned | black-skinned | very dark-skinned", state="whose skin is dark | whose skin is black",
            do="make {their} skin dark | make {their} skin black | make {their} skin darker | darken {their} skin",
        ),
    },
    "face_width": {
        "narrow": Value(yes=LOW, maybe=LOWER, with_="a narrow face | a thin face | a slim face | narrow cheeks | "
                        "a slender face | thin cheeks", adj="thin-faced | narrow-faced | slim-faced",
                        state="whose face is narrow | whose face is thin | whose face is slim",
                        do="make {their} face narrow | make {their} face thinner | make {their} face slim"),
        "wide": Value(yes=HIGH, maybe=HIGHER, with_="a wide face | a broad face | a chubby face | wide cheeks | "
                      "full cheeks | chubby cheeks", adj="broad-faced | wide-faced | chubby",
                      state="whose face is wide | whose face is broad | whose face is chubby",
                      do="make {their} face wide | make {their} face broader | make {their} face wider"),
    },
    "face_length": {
        "short": Value(yes=LOW, maybe=LOWER, with_="a short face | a face that is short | a low face",
                       adj="short-faced", state="whose face is short | whose head is short",
                       do="make {their} face short | make {their} face shorter"),
        "long": Value(yes=HIGH, maybe=HIGHER, with_="a long face | a face that is long | a tall face",
                      adj="long-faced", state="whose face is long | whose head is long",
                      do="make {their} face long | make {their} face longer"),
    },
    "jaw": {
        "pointed": Value(yes=LOW, maybe=LOWER, with_="a pointed chin | a pointed jaw | a pointy chin | a narrow jaw | "
                         "a sharp chin | a narrow chin | a pointy jaw", state="whose chin is pointed | whose jaw is narrow",
                         do="make {their} chin pointed | make {their} jaw narrow"),
        "square": Value(yes=HIGH, maybe=HIGHER, with_="a square jaw | a strong jaw | a square chin | a wide jaw | "
                        "a broad jaw | a strong chin | a broad chin", adj="square-jawed",
                        state="whose jaw is square | whose jaw is broad",
                        do="make {their} jaw square | make {their} jaw wider"),
    },
    "eye_spacing": {
        "close": Value(yes=LOW, maybe=LOWER, with_="close-set eyes | eyes close together | narrow-set eyes | "
                       "eyes set close together", state="whose eyes are close together | whose eyes are close-set",
                       do="move {their} eyes together | make {their} eyes close-set"),
        "wide": Value(yes=HIGH, maybe=HIGHER, with_="wide-set eyes | eyes far apart | eyes set far apart | "
                      "eyes set wide apart", state="whose eyes are far apart | whose eyes are wide apart",
                      do="move {their} eyes apart | make {their} eyes wide-set"),
    },
    "eye_size": {
        "small": Value(yes=LOW, maybe=LOWER, with_="small eyes | tiny eyes | little eyes | a pair of small eyes | "
                       "narrow eyes", adj="small-eyed", state="whose eyes are small | whose eyes are tiny",
                       do="make {their} eyes small | make {their} eyes smaller"),
        "big": Value(yes=HIGH, maybe=HIGHER, with_="big eyes | large eyes | huge eyes | a pair of big eyes | wide eyes",
                     adj="big-eyed | large-eyed", state="whose eyes are big | whose eyes are large",
                     do="make {their} eyes big | make {their} eyes bigger"),
    },
    "nose_width": {
        "narrow": Value(yes=LOW, maybe=LOWER, with_="a narrow nose | a thin nose | a slim nose | a slender nose",
                        state="whose nose is narrow | whose nose is thin | whose nose is slim",
                        do="make {their} nose narrow | make {their} nose thinner"),
        "wide": Value(yes=HIGH, maybe=HIGHER, with_="a wide nose | a broad nose | a fat nose | a nose that is wide",
                      state="whose nose is wide | whose nose is broad", adj="broad-nosed",
                      do="make {their} nose wide | make {their} nose broader"),
    },
    "nose_length": {
        "short": Value(yes=LOW, maybe=LOWER, with_="a short nose | a small nose | a little nose | a button nose",
                       state="whose nose is short | whose nose is small", adj="short-nosed",
                       do="make {their} nose short | make {their} nose shorter"),
        "long": Value(yes=HIGH, maybe=HIGHER, with_="a long nose | a big nose | a large nose | a nose that is long",
                      state="whose nose is long | whose nose is big", adj="long-nosed",
                      do="make {their} nose long | make {their} nose longer"),
    },
    "brow_weight": {
        "thin": Value(yes=LOW, maybe=LOWER, with_="thin eyebrows | thin brows | fine eyebrows | fine brows | "
                      "narrow eyebrows | light eyebrows | slender brows",
                      state="whose eyebrows are thin | whose brows are fine",
                      do="make {their} eyebrows thin | pluck {their} eyebrows | make {their} brows thinner"),
        "bushy": Value(yes=HIGH, maybe=HIGHER, with_="bushy eyebrows | thick eyebrows | heavy eyebrows | bushy brows | "
                       "thick brows | heavy brows | big eyebrows",
                       state="whose eyebrows are bushy | whose brows are thick",
                       do="make {their} eyebrows bushy | make {their} eyebrows thick | make {their} brows thicker"),
    },
    "turn": {
        "left": _side("left", "turn"),
        "straight": Value(yes=MIDDLE, maybe=MIDDLING, with_="a gaze straight ahead | a straight gaze",
                          state="looking straight ahead | facing the camera | facing forward | looking at the camera | "
                          "seen from the front | looking at you | looking forward | looking straight at you",
                          do="make {them} look at the camera | turn {them} to the camera | make {them} face the camera"),
        "right": _side("right", "turn"),
    },
    "tilt": {
        "straight": Value(yes=MIDDLE, maybe=MIDDLING, with_="an upright head | a straight head | the head held straight | "
                          "the head upright", state="holding the head straight | whose head is upright",
                          do="straighten {their} head | hold {their} head straight | hold {their} head upright"),
        "tilted": Value(yes=((-1.0, -0.5), (0.5, 1.0)), maybe=((-1.0, -0.25), (0.25, 1.0)),
                        with_="a tilted head | the head tilted | a head tilted to the side | a slanted head | "
                        "a head leaning to the side | the head slanted",
                        state="tilting the head | whose head is tilted | leaning the head to the side",
                        do="tilt {their} head | lean {their} head to the side | tilt {their} head to the side"),
    },
    "light": {
        "left": _side("left", "light"),
        "even": Value(yes=MIDDLE, maybe=MIDDLING, with_="even light | light from the front | light on both sides",
                      state="lit from the front | in even light | evenly lit | lit on both sides | in light from the front",
                      do="light {them} evenly | light {them} from the front"),
        "right": _side("right", "light"),
    },
}  # fmt: skip

JOINED: dict[tuple[str, str], dict[str, dict[str, str]]] = {
    ("hair_style", "hair_colour"): {
        "with_": {
            "short": "short {} hair | a short {} haircut | cropped {} hair",
            "long": "long {} hair | long flowing {} hair | {} hair down to the shoulders",
            "curly": "curly {} hair | {} curls | wavy {} hair",
            "afro": "a {} afro | a big {} afro | an afro of {} hair",
            "bob": "a {} bob | {} hair cut in a bob | {} bobbed hair",
            "mohawk": "a {} mohawk | a tall {} mohawk | {} hair in a mohawk",
            "bun": "a {} bun | {} hair in a bun | {} hair tied up",
            "fringe": "a {} fringe | {} hair with bangs | {} bangs",
        }
    },
    ("clothes", "clothes_colour"): {
        "wear": {
            "t-shirt": "a {} t-shirt | a {} tee",
            "shirt": "a {} shirt | a {} shirt with a collar | a {} blouse",
            "turtleneck": "a {} turtleneck | a {} sweater | a {} jumper",
            "suit": "a {} suit | a {} jacket | a {} business suit",
        },
        "state": {
            "t-shirt": "in a {} t-shirt", "shirt": "in a {} shirt", "turtleneck": "in a {} turtleneck",
            "suit": "in a {} suit",
        },
    },
}  # fmt: skip
"""Phrases that name two attributes at once: a value of the first, and in place of "{}" a word for the second."""

PINNED = {"grey hair", "gray hair", "blond hair", "blonde hair"}
"""Phrases that are never withheld."""

NEUTRAL = "a person"

TEMPLATES = (
    "{}", "a portrait of {}", "a drawing of {}", "a picture of {}", "an image of {}", "a photo of {}", "a painting of {}",
    "a close-up of {}", "the face of {}", "the head of {}", "a small picture of {}", "a photograph of {}",
    "a drawn portrait of {}", "an illustration of {}", "this is {}", "a sketch of {}",
)  # fmt: skip
"""Sentences in which a description is put, for captions and for averaging a prompt over."""

SUBJECTS = ("person", "person", "person", "person", "face", "face", "face", "head", "someone", "human")
"""Nouns that say nothing, by how often they are used."""

PARTS = ("face", "head")
"""Subjects that wear no clothes and have no face of their own."""

EMPTY = (
    "a person",
    "a face",
    "a portrait",
    "a head",
    "someone",
    "somebody",
    "a human",
    "a human face",
    "a person's face",
    "a portrait of a person",
    "a picture of a face",
    "a face with eyes",
    "a face with a mouth",
    "a face with a nose",
)
"""Descriptions that hold for every portrait."""

PRONOUNS: tuple[tuple[str, str, str], ...] = (  # {them}, {their}, the value of femininity that it speaks of
    ("them", "their", ""), ("them", "the", ""), ("the person", "the", ""), ("the face", "the", ""),
    ("him", "his", "man"), ("him", "the", "man"), ("her", "her", "woman"), ("her", "the", "woman"),
)  # fmt: skip

ADDABLE = ("beard", "moustache", "glasses", "hat", "earrings", "lipstick", "makeup")
"""Attributes whose things one can ask to "add"."""

WISHES = {  # frames that ask, by the form of the phrase in "{}"
    "with_": ("give {them} {}",),
    "wear": ("give {them} {}", "put {} on {them}", "make {them} wear {}"),
    "adj": ("make {them} {}", "make {them} look {}"),
    "add": ("add {}", "please add {}"),
}
