"""The inside of a mouth: what parting lips show and no warp can carry.

Three sources, best first: the photo's own open mouth, another photo of the same person with teeth, and a drawn
mouth. The drawn teeth belong to nobody (``factory/teeth.py`` averages eleven people's). The upper teeth stay
with the skull, the lower teeth and the tongue move with the chin; lips only uncover them. Units and coordinates:
see `mien.warping.teeth`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from mien.types import ByteImage, FloatArray
from mien.warping import tone
from mien.warping.creases import Creases
from mien.warping.eyes import Known
from mien.warping.lips import downward, edges, held, lip_gap, off_teeth, on_line
from mien.warping.mesh import OUTER_LOWER_LIP, OUTER_UPPER_LIP
from mien.warping.mouth_drawn import drawn
from mien.warping.mouth_shown import Shown, borrowed, farther, gum_shown, shown, uncovered
from mien.warping.parting import smoothed, unlined
from mien.warping.teeth import JAW, Teeth, View, jaw_drop, locate_teeth, lots, pose, smooth, view_of

THINNEST = 1.5  # px between closing lips that show more than a line
SMILING = 15.0  # units of the upper teeth that a frame shows of which whole ones are taken, in a film
CLOSED_LINE = 0.7  # width of the line between shut lips, in units
# units of teeth less high than which a photo does not say how they are; more if it is small
STRIP, SMALL = 5.0, 2.5
DULLEST = 0.85  # brightness of shown teeth ÷ of drawn ones that these follow at least
# agreement of shown teeth with drawn ones from which they are taken where a mouth opens farther, and that of small ones
SURE, SURELY = 0.28, 0.4
# how much lighter and bluer (logs) and lower (units) than the mean's a person's teeth are at most, by lot
OWN = np.array([0.03, 0.025, 0.4])
GUM = 0.8  # units of gum above the upper teeth that a mouth shows at most
# Units that the biting edge lies above the lower lip of a smile, at least and at most: lips of own smiles say it
# better than their faces at rest. Units between lips, and of the mouth's width, from which it is none and is one.
BITE, SMILE = (0.2, 2.5), ((4.0, 7.0), (44.0, 52.0))
ASTRAY = 1.2  # units that such a guess is mended by at most
# Half of the dark line between shut lips in their middle, and at their corners; units that they part by from which it
# fades and has gone (a smile keeps its corners' creases); and units that they are apart in the photo from which it is
# no line but the edge of what they show, wholly so from the second on.
LINE, CREASE = (0.9, (1.0, 5.0), (0.8, 2.5)), (1.7, (6.0, 14.0), (8.0, 16.0))
RIM = 2.6  # units of that edge at the corners that these leave; half as much where lips close
FALLEN = 2.0, 5.0  # units by which corners fall from which they leave the dark at them, and all of it
WEB = 0.35  # share of the web of lip at the corners that a smile has
TURN = 0.6  # units over which lips turn in, sigma
AROUND = 6.0  # units round lips that stay, within which what is round them may change
# units that lips part by from which skin loses the pits beside their corners, and has none
GAPING = (8.0, 18.0)
FINE = 2.8  # px a unit, about, of the smallest mouth that is drawn
FINEST = 4  # times that a smaller one is enlarged
BOX = 0.3  # px: sigma of what averaging over a pixel blurs
_ATLAS_BLUR, _LIP_BLUR = 0.16, 0.2  # sigma of the sharpest edges of drawn teeth, and of the lips', units


@dataclass(frozen=True)
class Layer:
    """Something to lay over a picture: colour [h, w, 3] float32 0 to 255, alpha [h, w] float32 0 to 1, and the
    pixel (left, top) of its first corner; `replaced`: whether drawn teeth stand where the photo shows its own.
    """

    colour: FloatArray
    alpha: FloatArray
    left: int
    top: int
    replaced: bool = False

    def over(self, picture: ByteImage) -> ByteImage:
        """`picture` [H, W, 3] uint8 with the layer on it; pixels of alpha 0 stay as they are."""
        result = picture.copy()
        height, width = self.alpha.shape
        here = result[self.top : self.top + height, self.left : self.left + width]
        mixed = here + self.alpha[..., None] * (self.colour - here)
        here[:] = np.clip(mixed + 0.5, 0, 255)
        return result


NOTHING = Layer(np.zeros((0, 0, 3), np.float32), np.zeros((0, 0), np.float32), 0, 0)


def opening(view: View, roll: float, web: float = 1.0, least: float = 0.25) -> FloatArray:
    """How much of each pixel the inside of the mouth shows [h, w], 0 to 1.

    The lower lip rolls in over `roll` units, from `least` at its edge, and a web of lip rounds the corners by a share
    of `web`, the more the wider the mouth is open.
    """
    wide = web * max(
        float(smooth(view.gap / max(view.width, 1e-3), 0.25, 0.6)), WEB * float(smooth(view.gap, 3, 6))
    )
    sides = smooth(np.abs(view.along), 0.55, 0.95) * wide
    edge, round_off = (
        cv2.GaussianBlur(view.mask, (0, 0), max(units * view.unit, 0.5)).astype(np.float32) / 255
        for units in (0.35, 1.5)
    )
    inside = smooth(edge, 0.2, 0.85) * (1 - sides * (1 - smooth(round_off, 0.4, 0.85)))
    rolled = least + (1 - least) * smooth(view.from_lower, 0.0, max(roll, 1.8 / view.unit))
    return np.asarray(inside * rolled, np.float32)


@dataclass
class Mouth:
    """A photo's mouth, ready to be opened: everything that depends on the photo alone is computed once.

    Args:
        image: [H, W, 3] uint8. landmarks: [478, 3] px, MediaPipe's, in the photo.
        teeth: another photo of the same person and its landmarks, whose open mouth shows the teeth.
        known: of a frame of a film, the mouth in another frame, whose teeth, gums and colours are drawn in all of them.
    """

    image: ByteImage
    landmarks: FloatArray
    teeth: tuple[ByteImage, FloatArray] | None = None
    known: Mouth | None = None
    colour: tone.Tone = field(init=False)
    place: Teeth = field(init=False)
    source: Shown | None = field(init=False)
    on_line: FloatArray = field(init=False)  # the landmarks with shut lips where they meet, see `on_line`
    apart: float = field(init=False)  # the photo's lips, in units
    roll: float = field(init=False)  # units of the lower lip's inner side that the photo has
    web: float = field(init=False)  # share of a web of lip at the corners: open ones would show through it
    toothy: bool = field(init=False)  # whether the photo shows teeth, be it too few to be of use
    small: float = field(init=False)  # how surely teeth are too small and blurred to be told apart, 0 to 1
    parted: float = field(init=False, default=0.0)  # lips apart, without teeth to be seen, in units
    eyes: Known = field(init=False, default_factory=Known)  # what was measured in the photo's eyes
    filmed: bool = field(init=False, default=False)  # drawn frame after frame: nothing may jump

    @cached_property
    def creases(self) -> Creases:
        """Of the skin round it."""
        return Creases(self.image, self.landmarks, self.known.creases if self.known else None)

    def __post_init__(self) -> None:
        self.landmarks = np.asarray(self.landmarks, np.float64)
        if self.known is None:  # it would tremble from frame to frame
            self.landmarks = off_teeth(self.image, self.landmarks)
        self.on_line = on_line(self.image, self.landmarks)
        self.apart = lip_gap(self.on_line, pose(self.landmarks).scale)
        self.web = 1 - float(smooth(self.apart, 1.0, 4.0))
        self.roll = 1.3 - 0.8 * float(smooth(self.apart, 0.5, 2.0))
        if self.known is not None:
            self.eyes = Known((self.known.image, self.known.landmarks, self.known.eyes))
            self.colour, self.place, self.source = self.known.colour, self.known.place, self.known.source
            self.toothy, self.small, self.filmed = self.known.toothy, self.known.small, True
            return
        self.colour = tone.measure(self.image, self.landmarks)
        self.place = locate_teeth(self.landmarks)
        self.source = shown(self.image, self.landmarks, self.colour)
        self.toothy = self.source is not None
        blurred = self.small = 1 - float(smooth(pose(self.landmarks).scale, 1.2, 2.4))
        if self.source is not None:  # unless they agree well with drawn ones
            blurred *= 1 - float(smooth(self.source.fit, 0.4, 0.5))
            if self.source.tall < STRIP + SMALL * blurred:
                self.source = None
        if self.source is None:
            self.parted = self.apart
        if self.source is None and self.teeth is not None:
            self.source = shown(*self.teeth, self.colour)
        if self.source is not None:  # what must be drawn beside real teeth goes on from them
            theirs = self.source.teeth
            self.place = replace(self.place, x=theirs.x, edge=theirs.edge, size=theirs.size)
            trust = float(smooth(self.source.tall, 4.0, 9.0))  # a strip of teeth lies in the lip's shade
            enamel = self.colour.enamel * max(self.source.enamel, DULLEST) ** trust
            self.colour = replace(self.colour, enamel=enamel, hue=self.colour.hue * self.source.hue**trust)
        else:
            by = OWN * lots(self.place.shape, 11)[8:]
            self.place = replace(self.place, edge=self.place.edge + float(by[2]))
            hue = self.colour.hue * np.array([1, 1, np.exp(by[1])], np.float32)
            self.colour = replace(self.colour, enamel=self.colour.enamel * float(np.exp(by[0])), hue=hue)

    def on(self, image: ByteImage) -> Mouth:
        """The same mouth in another `image` of the same face, whose skin has its own creases."""
        other = copy(self)
        other.image = image
        other.__dict__.pop("creases", None)
        return other

    def in_film(self) -> Mouth:
        """The same mouth, `filmed`."""
        other = copy(self)
        other.filmed = True
        return other

    def over(self, image: ByteImage, result: ByteImage, share: float = 1.0) -> None:
        """Lay a share of lips and what is between them, as in the photo `image`, over `result` [H, W, 3] uint8, in
        place."""
        unit = pose(self.landmarks).scale
        outline = self.landmarks[[*OUTER_UPPER_LIP, *OUTER_LOWER_LIP[::-1]], :2]
        far = AROUND * unit
        low = np.floor(outline.min(0) - 2 * far).astype(int).clip(0)
        high = np.minimum(np.ceil(outline.max(0) + 2 * far).astype(int), image.shape[1::-1])
        if (high - low).min() < 1:
            return
        outside = np.full((high - low)[::-1], 255, np.uint8)
        cv2.fillPoly(outside, [np.round(outline - low - 0.5).astype(np.int32)], 0)
        away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) / far
        alpha = share * (1 - smooth(np.asarray(away, np.float32), 0.3, 1.0))[..., None]
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        result[part] = result[part] + alpha * (image[part].astype(np.float32) - result[part]) + 0.5

    def without_line(self, image: ByteImage, target: FloatArray) -> ByteImage:
        """`image`, the photo's, as far as its lips part at `target` [478, 3] px without the dark line between them,
        and, where they part far, grow narrower or their corners fall, without the dark at and beside these."""
        where = pose(self.on_line)
        unit = where.scale
        further = lip_gap(target, unit) - self.apart
        # what corners leave that come nearer to each other or fall, in space, for heads turn
        own, then = (np.linalg.norm(points[308] - points[78]) for points in (self.on_line, target))
        fallen = (pose(target).head(target) - where.head(self.on_line))[[78, 308], 1].mean()
        left = max(float(smooth((own - then) / unit, 1.0, 4.0)), float(smooth(fallen, *FALLEN)))
        gaping = max(float(smooth(further, *GAPING)), left)
        parts, closes = (float(smooth(by, *LINE[1])) for by in (further, -further))
        opened, creased = (float(smooth(self.apart, *until)) for _, _, until in (LINE, CREASE))
        pit = (1 - creased) * CREASE[0] * max(float(smooth(further, *CREASE[1])), left * parts)
        corner = max(pit, opened * RIM * (1 - 0.5 * closes) * gaping)
        lips = edges(self.on_line + opened * (held(self.on_line, target) - self.on_line))
        if gaping > 0:
            ends = np.mean(lips, 0)[[0, -1]]
            across = (ends[1] - ends[0]) / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-6)
            image = smoothed(image, ends, across, unit, gaping)
        if max(parts, corner) == 0:
            return image
        return unlined(image, lips, downward(self.on_line), unit, LINE[0] * parts, corner)

    def interior(self, target: FloatArray, detailed: bool = True) -> Layer:
        """What lies between the lips when the landmarks are at `target` [478, 3] px.

        The layer is empty for lips that were shut and stay so, and is the dark line between them for lips that were
        open and shut. Alpha grows with the gap up to 1.5 units. A photo whose lips part without showing teeth keeps
        what is there until they part further; teeth that it shows stay, and the lips go over them. `detailed`: a small
        mouth is drawn finer than the photo, and averaged.
        """
        target = np.asarray(target, np.float64)
        scale = pose(target).scale
        fine = int(np.clip(round(FINE / scale), 1, FINEST)) if detailed else 1
        large = fine * target
        where = pose(large)
        height, width = self.image.shape[:2]
        view = view_of(large, (fine * height, fine * width), where, fine)
        if view is None or (view.gap < self.apart - 1 and view.gap * scale < THINNEST):
            return self._line(target, scale)
        head = where.head(large)
        jaw = jaw_drop(float(head[list(JAW), 1].mean()) - self.place.jaw)
        place, whole = self.place, 0.0
        if self.source is not None:  # a strip of teeth makes no whole ones
            shows = uncovered(head, place) if self.known is None else SMILING  # the same throughout a film
            whole = float(smooth(self.source.tall / max(shows, 1.0), 0.55, 0.65))
            if (
                self.source.fit < SURE + (SURELY - SURE) * self.small and self.teeth is None
            ):  # two rows that pass for one would come apart
                whole *= 1 - float(smooth(farther(view, jaw, self.source), 1.0, 2.0))
        # a lip that lifts high shows little gum: the place of teeth that are not seen is a guess
        gum = gum_shown(head, place)
        if self.source is not None:  # and seen ones whose gum comes to light are not what they passed for
            whole *= 1 - float(smooth(gum - max(GUM, self.source.gum), 2.0, 3.0))
        smile = float(smooth(view.gap, *SMILE[0]) * smooth(view.width, *SMILE[1])) * (not self.filmed)
        lip = float(head[14, 1]) - jaw
        by = smile * np.clip(np.clip(place.edge, lip - BITE[1], lip - BITE[0]) - place.edge, -ASTRAY, ASTRAY)
        place = replace(place, edge=place.edge + (1 - whole) * float(min(by, GUM - gum)))
        picture = drawn(view, where, place, jaw, self.colour, self.filmed)
        sharp = float(np.hypot(_ATLAS_BLUR * scale, BOX * (fine > 1)))
        picture = tone.grain(picture, self.colour, sharp, fine)
        if self.source is not None and whole:
            theirs = borrowed(view, where, jaw, gum - self.source.gum, self.source, picture)
            picture = picture + np.float32(whole) * (theirs - picture)
        by, stretch = view.gap - max(self.parted - 0.3, 0.0), self.parted * self.toothy
        further, least = smooth(by, max(0.4, 0.12 * stretch), max(1.5, 0.3 * stretch)), 0.25
        if self.toothy:  # no teeth may be left between lips that close
            closing = smooth(self.apart - view.gap, 0.5, 2.0) * (1 - smooth(view.gap, 1.5, 4.5))
            picture = picture + np.float32(closing) * (0.5 * self.colour.inner_lip - picture)
            further = np.maximum(further, smooth(self.apart - view.gap, 0.5, 2.0))
            least += (1 - least) * float(closing)
        alpha: FloatArray = (opening(view, self.roll, self.web, least) * further).astype(np.float32)
        picture, alpha = self._turned_in(picture, alpha, view, further)
        own = sharp**2 + (_LIP_BLUR * scale) ** 2
        edge = np.sqrt(max(self.colour.blur**2 - own, 0.0)) * fine
        if edge > 0.3:  # lips end as softly as the photo's edges
            alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), edge), np.float32)
            alpha[alpha < 0.03] = 0
        size = alpha.shape[1] // fine, alpha.shape[0] // fine
        colour, cover = (
            np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.float32)
            for part in (picture, alpha)
        )
        replaced = self.toothy and whole < 0.5 and view.gap > STRIP and float(alpha.max(initial=0)) > 0.5
        return Layer(colour, cover, view.left // fine, view.top // fine, replaced)

    def _turned_in(
        self, picture: FloatArray, alpha: FloatArray, view: View, share: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Colours and alpha with the shade in which lips turn in, most of it on the upper one."""
        near = cv2.GaussianBlur(view.mask, (0, 0), max(TURN * view.unit, 0.5)).astype(np.float32) / 255
        rim = (near > 0.15) & (alpha < 1)
        lower = smooth(view.from_upper[rim] - view.from_lower[rim], -0.5, 0.5)
        shade = share * (0.4 - 0.25 * lower) * (1 - 0.8 * smooth(np.abs(view.along[rim]), 0.5, 1.0))
        shade = shade * smooth(near[rim], 0.15, 0.6) * (1 - alpha[rim])
        alpha[rim] += shade
        mix = (shade / np.maximum(alpha[rim], 1e-4))[:, None]
        picture[rim] += mix * (0.42 * self.colour.inner_lip - picture[rim])
        return picture, alpha

    def _line(self, target: FloatArray, unit: float) -> Layer:
        """The dark line between lips that were open in the photo and are shut at `target`; `unit`: px a unit.

        What the motion map finds there lies between the photo's lips, teeth for instance.
        """
        closed = self.apart - lip_gap(target, unit)
        share = float(smooth(closed, 1.0, 3.0))
        curve = np.mean(edges(target), 0)
        width = max(CLOSED_LINE * unit, 1.2)
        height, length = self.image.shape[:2]
        low = np.floor(curve.min(0) - 3 * width).astype(int).clip(0)
        high = np.minimum(np.ceil(curve.max(0) + 3 * width).astype(int), [length, height])
        if share == 0 or (high - low).min() < 1:
            return NOTHING
        size = high[1] - low[1], high[0] - low[0]
        points = np.round((curve - low - 0.5) * 16).astype(np.int32)

        def along(points: FloatArray, wide: float) -> FloatArray:
            mask = np.zeros(size, np.uint8)
            cv2.polylines(mask, [points], False, 255, max(1, round(wide)), cv2.LINE_AA, 4)
            return share * cv2.GaussianBlur(mask, (0, 0), 0.4 * width).astype(np.float32) / 255

        line = 0.75 * along(points, width)
        # the teeth's last glimpse beside it, a pixel or two wide
        small = float(self.toothy) * (1 - float(smooth(unit, 1.2, 2.2)))
        beside = 0.9 * small * along(points, width + 2.0)
        x = np.arange(size[1]) + low[0]
        middle, half = 0.5 * (curve[0, 0] + curve[-1, 0]), 0.5 * max(abs(curve[-1, 0] - curve[0, 0]), 1.0)
        at = (x - middle) / half
        aside = np.abs(at)
        uneven = 0.84 + 0.16 * np.sin(7.1 * at + 0.6) * np.sin(2.3 * at - 1.2)  # no two lips press all along
        line, beside = (
            line * uneven * (1 - 0.85 * smooth(aside, 0.7, 1.0)),
            beside * (1 - 0.8 * smooth(aside, 0.6, 1.0)),
        )
        alpha = 1 - (1 - line) * (1 - beside)
        dark = (line / np.maximum(alpha, 1e-6))[..., None]
        flesh = self.colour.inner_lip * min(
            float(self.colour.skin.mean() / max(self.colour.lip.mean(), 1.0)), 1.0
        )
        colour = (0.84 - 0.38 * dark) * flesh
        return Layer(np.asarray(colour, np.float32), alpha, int(low[0]), int(low[1]))
