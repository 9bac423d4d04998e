"""What of a photo's own expression another person's face takes over: not its rest, and neither lips nor eyes shut
further than the photo's are."""

from __future__ import annotations

import cv2
import numpy as np

from mien.face.blendshapes import INDEX
from mien.face.landmarks import LMS_NAMES, lms_ratios
from mien.pipelines.photo import Sitter, Sought, Wanted
from mien.types import Face, FloatArray
from mien.warping.matte import LIPS, OUTER_LIPS, fill
from mien.warping.target import expressed

HOLE = 0.5  # of the lips' luminance, at which an open mouth that shows no teeth begins
RED = 0.05  # redness of lips in a photo with colours: what is redder than they is no teeth, but full lips that shine
REST = 0.8  # of the difference between two people's rest that stays the identity's
AWAKE = 0.12  # of an eye's width: lids that are further apart are open
SQUINTS = 0.4  # as much as that of a blink a squint shuts an eye
SHUTS = 0.75  # of a blink that shuts an eye, see `mien.warping.shapes.SHUT`
STIRS = 0.1  # of a blink: so much further an eye may shut than landmarks say
# LMS names eyes by the picture's side, blendshapes by the person's.
EYES = (("reye", "Left"), ("leye", "Right"))
STAYS_SHUT = {  # how much further coefficients of a mouth that stays shut may go than where they began
    "jawOpen": 0.0, "mouthFunnel": 0.0, "mouthLowerDownLeft": 0.0, "mouthLowerDownRight": 0.0,
    "mouthUpperUpLeft": 0.0, "mouthUpperUpRight": 0.0, "mouthRollLower": 0.15, "mouthRollUpper": 0.15,
    "mouthShrugLower": 0.4, "mouthPressLeft": 0.3, "mouthPressRight": 0.3,
}  # fmt: skip


def own_rest(identity: Sitter, wanted: Wanted) -> Wanted:
    """What is wanted of another person's photo, with the identity's own brows, eyes and lips at rest in a part `REST`:
    a reading tells narrow eyes from a squint only as far as people at rest differ."""
    theirs = wanted.value - expressed(wanted.value)
    mine = identity.own - expressed(identity.own)
    value = wanted.value + REST * (mine - theirs)
    return Wanted(np.r_[np.clip(value[:52], 0, 1), value[52:]], wanted.weight)


def shut(sitter: Sitter) -> bool:
    """Whether the lips touch: landmarks lie apart on many a full or dark lip, but what is between them is no hole."""
    image, landmarks = sitter.image, sitter.face.landmarks
    x0, y0 = np.floor(landmarks[list(OUTER_LIPS), :2].min(0)).astype(int).clip(0)
    x1, y1 = np.ceil(landmarks[list(OUTER_LIPS), :2].max(0)).astype(int)
    if min(x1, y1) < 0 or x0 >= image.shape[1] or y0 >= image.shape[0]:  # beyond the picture
        return False
    part = np.ascontiguousarray(image[y0 : y1 + 1, x0 : x1 + 1])
    inside, lips = (fill(part.shape, landmarks - [x0, y0, 0], o) > 0 for o in (LIPS, OUTER_LIPS))
    lips &= ~inside
    if sitter.mouth.source is not None or not lips.any():
        return False
    if not inside.any():
        return not sitter.mouth.toothy
    red, _, blue = cv2.split(part.astype(np.float32))
    within, beside = (float(np.median(((red - blue) / (red + blue + 8))[w])) for w in (inside, lips))
    if sitter.mouth.toothy and not within > beside > RED:
        return False
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    return bool(np.median(grey[inside]) > HOLE * np.median(grey[lips]))


def closed(sought: Sought) -> FloatArray:
    """Coefficients [52] like those sought, of a mouth that stays shut: nothing parts its lips, and what presses them
    together is bounded, for there is nowhere they could go."""
    after = sought.after.copy()
    for name, further in STAYS_SHUT.items():
        after[INDEX[name]] = min(after[INDEX[name]], sought.before[INDEX[name]] + further)
    return after


def awake(sought: Sought, identity: Face, photo: Face) -> FloatArray:
    """Coefficients [52] like those sought, whose eyes shut no further than the photo's, where these are open: readings
    of laughing eyes would shut another person's."""
    after, (mine, theirs) = sought.after.copy(), (lms_ratios(face.landmarks) for face in (identity, photo))
    for eye, side in EYES:
        lids, k = [INDEX[f"eyeBlink{side}"], INDEX[f"eyeSquint{side}"]], LMS_NAMES.index(eye)
        closing = np.maximum(after - sought.before, 0)[lids] @ [1, SQUINTS]
        room = SHUTS * max(1 - theirs[k] / max(mine[k], AWAKE), 0.0) + STIRS
        if theirs[k] > AWAKE and closing > room:
            after[lids] += (1 - room / closing) * np.minimum(sought.before - after, 0)[lids]
    return after
