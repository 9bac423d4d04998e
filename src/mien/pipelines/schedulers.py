"""Which of diffusers' schedulers walks from noise to a picture: by name, by object, or the default."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from mien.errors import InputError, nearest, saying

PLAIN_SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler")

SOLVER = ("algorithm_type", "solver_type")  # settings that kinds share by name and not by value

OTHERS = ("CogVideoX", "Inverse", "UnCLIP")  # of other models, or from a picture to noise
NEED_PACKAGES = {"DPMSolverSDEScheduler": "torchsde"}


def choose_scheduler(which: Any, trained: Any) -> Any:
    """A scheduler on the schedule that the model was trained with. Raises `InputError`: there is no such scheduler, it
    is for other kinds of models, or its package is missing.

    Args:
        which: None: :func:`default_scheduler`. A name of diffusers' class, with or without "Scheduler" and in any case
            ("DDIM", "ddim"). Or a scheduler, taken as it is. trained: the model's own.
    """
    if which is None:
        return default_scheduler(trained)
    if not isinstance(which, str):
        if not _steps(type(which)):
            raise InputError(
                f"{type(which).__name__} is not a scheduler for this model: use a name, or an object of diffusers' "
                "DDIM, Euler, DPM-Solver … kinds"
            )
        return which
    known = scheduler_names()
    name = known.get(which.lower().removesuffix("scheduler"))
    if name is None:
        short = ", ".join(sorted(name.removesuffix("Scheduler") for name in known.values()))
        raise InputError(
            f"scheduler {which!r} is unknown{nearest(which.lower(), known)}: choose one of {short}"
        )
    import diffusers

    kind = getattr(diffusers, name)
    schedule = {key: value for key, value in trained.config.items() if key not in SOLVER}
    unfit = f"the scheduler {name} does not fit this model's schedule: choose DDIM"
    with (
        saying(f"the scheduler {name} needs a missing package: {NEED_PACKAGES.get(name, name)}", ImportError),
        saying(unfit, ValueError, NotImplementedError),
    ):
        try:
            return kind.from_config(trained.config)
        except NotImplementedError:  # of another solver: this one keeps its own
            return kind.from_config(schedule)


def scheduler_names() -> dict[str, str]:
    """Short lower-case name -> class, of diffusers' schedulers that sample from a model of noise or v on a schedule
    of betas, as all of Stable Diffusion's kind are."""
    import diffusers

    names = {}
    for name in dir(diffusers):
        if not name.endswith("Scheduler") or any(other in name for other in OTHERS):
            continue
        kind = getattr(diffusers, name)
        # a class whose package is missing is a dummy that says so when it is made
        if name in NEED_PACKAGES or ("beta_schedule" in inspect.signature(kind).parameters and _steps(kind)):
            names[name.lower().removesuffix("scheduler")] = name
    return names


def _steps(kind: type) -> bool:
    """Whether a class has ``step(model_output, timestep, sample)`` and what goes before it."""
    if not all(hasattr(kind, name) for name in ("set_timesteps", "scale_model_input", "step")):
        return False
    takes = list(inspect.signature(kind.step).parameters.values())[1:]  # type: ignore[attr-defined]
    needed = [p.name for p in takes if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return needed == ["model_output", "timestep", "sample"] and "return_dict" in [p.name for p in takes]


def default_scheduler(trained: Any) -> Any:
    """DPM-Solver++ (2M) (Lu et al. 2022, arXiv 2211.01095) on the schedule that the model was trained with. A model
    that comes with a sampler of its own kind (LCM, TCD, …) keeps it."""
    if type(trained).__name__ not in PLAIN_SCHEDULERS:
        return trained
    from diffusers import DPMSolverMultistepScheduler

    solver = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    return DPMSolverMultistepScheduler.from_config(trained.config, **solver)


def most_steps(scheduler: Any) -> int:
    """How many steps there are times for: all that the model was trained on, and where a step is from one time to the
    next, two to spare (``leading`` spacing's offset, and the last step's end)."""
    one_by_one = type(scheduler).__name__ in ("DDPMScheduler", "DDIMScheduler")
    return int(scheduler.config.num_train_timesteps) - (0 if one_by_one else 2)


def own_noise(scheduler: Any, seeds: list[int], generators: list[torch.Generator]) -> dict[str, Any]:
    """What makes a scheduler's own noise depend on an image's seed alone: arguments for its ``step``. Schedulers draw
    from generators given to ``step``, or from a Brownian tree seeded before (DPM-Solver SDE)."""
    if hasattr(scheduler, "noise_sampler_seed"):
        scheduler.noise_sampler_seed = list(seeds)
    takes = inspect.signature(scheduler.step).parameters
    return {"generator": generators} if "generator" in takes else {}


def keep_outside(scheduler: Any, i: int, z: Tensor, noise: Tensor, known: Tensor, mask: Tensor) -> Tensor:
    """After step i: z where something is to be drawn, elsewhere a known picture, as noisy as z is (Lugmayr et al. 2022,
    arXiv 2201.09865, Eq. 8). z, noise, known: [b, c, h, w]; `noise`: of variance 1, the same at every step; `known`:
    latents of the picture. mask: [b, 1, h, w], 1 where z stays."""
    if i + 1 < len(scheduler.timesteps):
        known = scheduler.add_noise(known, noise, scheduler.timesteps[i + 1].expand(len(z)))
    return mask * z + (1 - mask) * known.to(z)


def guidance_embedding(guidance: float, b: int, width: int) -> Tensor:
    """[b, width] float32: how a model distilled under guidance is told its strength w = guidance - 1 (LCM, Luo et
    al. 2023, arXiv 2310.04378, section 4.2): sin and cos of 1000 w at geometric frequencies."""
    half = width // 2
    frequencies = torch.exp(-torch.arange(half) * (torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = 1000.0 * (guidance - 1.0) * frequencies
    both = torch.cat([angles.sin(), angles.cos(), torch.zeros(width % 2)])
    return both.expand(b, -1)


def reface_scheduler(trained: Any) -> Any:
    """PNDM without its Runge-Kutta start, as Stable Diffusion runs it, on the schedule of a trained model; the model's
    own sampler where it comes with one."""
    if type(trained).__name__ not in PLAIN_SCHEDULERS:
        return trained
    from diffusers import PNDMScheduler

    return PNDMScheduler.from_config(trained.config, skip_prk_steps=True)
