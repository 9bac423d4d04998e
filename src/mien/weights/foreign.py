"""Models of others that this project can use. None is needed; each is fetched only when asked for.

A checksum is written here only if it is known: from our own hashing of the distributor's package, or
because several independent public projects pin the same one. Where it is None the file is called
unverified, and so it is.
"""

from __future__ import annotations

from mien.weights.entry import Entry, WeightFile

_HUB = "https://huggingface.co"
_FACEID = "h94/IP-Adapter-FaceID"

FOREIGN: tuple[Entry, ...] = (
    Entry(
        name="face_landmarker",
        purpose="MediaPipe's face analyser: detection, 478 landmarks, 52 blendshapes, pose",
        root="face_landmarker.task",
        files=(
            WeightFile(
                "face_landmarker.task",
                sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
                size=3758596,
                url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
                "face_landmarker.task",
            ),
        ),
        licence="Apache-2.0",
        commercial=True,
        source="https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker",
        year=2023,
    ),
    Entry(
        name="dlib_recogniser",
        purpose="dlib's face recogniser, 128 numbers a face; used as an independent judge",
        root="dlib_face_recognition_resnet_model_v1.dat",
        files=(
            WeightFile(
                "dlib_face_recognition_resnet_model_v1.dat",
                # hashed by us from the package face_recognition_models 0.3.0
                sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                size=22466066,
                url="https://github.com/davisking/dlib-models/raw/master/"
                "dlib_face_recognition_resnet_model_v1.dat.bz2",
            ),
        ),
        licence="public domain (CC0-1.0)",
        commercial=True,
        source="https://github.com/davisking/dlib-models",
        year=2017,
    ),
    Entry(
        name="dlib_landmarks_5",
        purpose="dlib's five landmarks, by which its recogniser aligns a face",
        root="shape_predictor_5_face_landmarks.dat",
        files=(
            WeightFile(
                "shape_predictor_5_face_landmarks.dat",
                # hashed by us from the package face_recognition_models 0.3.0
                sha256="c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
                size=9150489,
                url="https://github.com/davisking/dlib-models/raw/master/shape_predictor_5_face_landmarks.dat.bz2",
            ),
        ),
        licence="public domain (CC0-1.0)",
        commercial=True,
        source="https://github.com/davisking/dlib-models",
        year=2017,
    ),
    Entry(
        name="auraface",
        purpose="AuraFace recogniser, 512 numbers a face (ArcFace's contract, ONNX)",
        root="auraface_glintr100.onnx",
        files=(
            WeightFile(
                "auraface_glintr100.onnx",
                # pinned alike by several public projects
                sha256="a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60",
                size=260694151,
                url=f"{_HUB}/fal/AuraFace-v1/resolve/main/glintr100.onnx",
            ),
        ),
        licence="Apache-2.0",
        commercial=True,
        source=f"{_HUB}/fal/AuraFace-v1",
        year=2024,
    ),
    Entry(
        name="arcface_w600k_r50",
        purpose="ArcFace recogniser of InsightFace's buffalo_l, 512 numbers a face (ONNX)",
        root="w600k_r50.onnx",
        files=(
            WeightFile(
                "w600k_r50.onnx",
                # pinned alike by several public projects
                sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
                size=174383860,
                url=f"{_HUB}/public-data/insightface/resolve/main/models/buffalo_l/w600k_r50.onnx",
            ),
        ),
        licence="InsightFace: non-commercial research only",
        commercial=False,
        source="https://github.com/deepinsight/insightface/tree/master/model_zoo",
        year=2021,
    ),
    Entry(
        name="arcface_ms1mv3_r100",
        purpose="ArcFace IResNet-100 in torch (arcface_torch's backbone.pth), 512 numbers a face",
        root="ms1mv3_arcface_r100_fp16/backbone.pth",
        files=(WeightFile("ms1mv3_arcface_r100_fp16/backbone.pth"),),
        licence="InsightFace: non-commercial research only",
        commercial=False,
        source="https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch",
        year=2021,
    ),
    Entry(
        name="ip_adapter_faceid_sd15",
        purpose="IP-Adapter FaceID for SD1.5: identity tokens from an ArcFace embedding",
        root="ip-adapter-faceid_sd15.bin",
        files=(
            WeightFile(
                "ip-adapter-faceid_sd15.bin",
                # pinned alike by several public projects
                sha256="201344e22e6f55849cf07ca7a6e53d8c3b001327c66cb9710d69fd5da48a8da7",
                size=96740574,
                url=f"{_HUB}/{_FACEID}/resolve/main/ip-adapter-faceid_sd15.bin",
            ),
        ),
        licence="non-commercial research only",
        commercial=False,
        source=f"{_HUB}/{_FACEID}",
        year=2023,
    ),
    Entry(
        name="ip_adapter_faceid_sdxl",
        purpose="IP-Adapter FaceID for SDXL: identity tokens from an ArcFace embedding",
        root="ip-adapter-faceid_sdxl.bin",
        files=(
            WeightFile(
                "ip-adapter-faceid_sdxl.bin",
                # pinned alike by several public projects
                sha256="f455fed24e207c878ec1e0466b34a969d37bab857c5faa4e8d259a0b4ff63d7e",
                url=f"{_HUB}/{_FACEID}/resolve/main/ip-adapter-faceid_sdxl.bin",
            ),
        ),
        licence="non-commercial research only",
        commercial=False,
        source=f"{_HUB}/{_FACEID}",
        year=2023,
    ),
    Entry(
        name="ip_adapter_sd15",
        purpose="IP-Adapter for SD1.5: tokens from a CLIP image embedding",
        root="ip-adapter_sd15.safetensors",
        files=(
            WeightFile(
                "ip-adapter_sd15.safetensors",
                url=f"{_HUB}/h94/IP-Adapter/resolve/main/models/ip-adapter_sd15.safetensors",
            ),
        ),
        licence="Apache-2.0",
        commercial=True,
        source=f"{_HUB}/h94/IP-Adapter",
        year=2023,
    ),
    Entry(
        name="ip_adapter_sdxl",
        purpose="IP-Adapter for SDXL: tokens from the image embedding of CLIP ViT-H",
        root="ip-adapter_sdxl_vit-h.safetensors",
        files=(
            WeightFile(
                "ip-adapter_sdxl_vit-h.safetensors",
                url=f"{_HUB}/h94/IP-Adapter/resolve/main/sdxl_models/ip-adapter_sdxl_vit-h.safetensors",
            ),
        ),
        licence="Apache-2.0",
        commercial=True,
        source=f"{_HUB}/h94/IP-Adapter",
        year=2023,
    ),
)
