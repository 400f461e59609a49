"""Which engine runs a model, and what each would be told: decided without any engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from foz.canon.deployment import Form, Options, Quantization, Weights, Wish
from foz.canon.fault import BadRequest, NoCapacity, Unsupported
from foz.deploy.engines import Candidate, check, choose, form_in, form_of, why_not
from foz.deploy.fit import ALL_LAYERS, DRIVER, Manner, load, takes
from foz.deploy.plan import VLLM_WORK, needs, plan
from foz.deploy.replicas import hardware
from foz.ports.devices import Device
from foz.ports.engine import LLAMA_CPP, VLLM
from foz.ports.machine import Room
from foz.ports.weights import File, Found

MIB, GIB = 1 << 20, 1 << 30
ROOM = Room(64 * GIB, 60 * GIB, 8, "A Processor")
WISH = Wish("m", "m", "7b", source="m")
GGUF = Weights("/m.gguf", 8 * GIB, "llama", "Q8_0", context=8192, layers=32, cache_per_token=131_072, vocabulary=32_000)
TENSORS = structs.replace(GGUF, path="/m", size=16 * GIB, quantization="BF16", form=Form.SAFETENSORS)
LLAMA = Candidate(LLAMA_CPP, frozenset({Form.GGUF}))
V = Candidate(VLLM, frozenset({Form.SAFETENSORS}), on_gpus_only=True)
GONE = structs.replace(V, missing="there is no program 'vllm': install vLLM")


def _gpus(*free: int, total: int = 80 * GIB) -> list[Device]:
    return [Device("A GPU", total, each * GIB, index) for index, each in enumerate(free)]


def _wish(**options: object) -> Wish:
    return structs.replace(WISH, options=structs.replace(Options(), **options))


@pytest.mark.parametrize(
    ("asked", "form", "gpus", "chosen"),
    [
        ("", Form.GGUF, 0, LLAMA_CPP),
        ("", Form.GGUF, 8, LLAMA_CPP),
        ("", Form.SAFETENSORS, 1, VLLM),
        (VLLM, Form.SAFETENSORS, 1, VLLM),
        (LLAMA_CPP, Form.GGUF, 0, LLAMA_CPP),
    ],
)
def test_engine_is_chosen_by_what_is_there(asked: str, form: Form, gpus: int, chosen: str) -> None:
    """GGUF goes to llama.cpp with or without a GPU, safetensors to vLLM with one; who is asked for is taken."""
    assert choose(asked, form, (LLAMA, V), gpus) == chosen


@pytest.mark.parametrize(
    ("asked", "form", "among", "words"),
    [
        ("", Form.SAFETENSORS, (LLAMA, V), "No engine .* safetensors. vllm: this machine has no GPU"),
        ("", Form.SAFETENSORS, (LLAMA, GONE), "vllm: there is no program 'vllm': install vLLM"),
        ("", Form.SAFETENSORS, (LLAMA,), "none is known"),
        (VLLM, Form.GGUF, (LLAMA, V), "vllm cannot run a GGUF file: it runs safetensors"),
        (VLLM, Form.SAFETENSORS, (LLAMA, GONE), "vllm cannot be used here: there is no program"),
        (LLAMA_CPP, Form.SAFETENSORS, (LLAMA, V), "llama.cpp cannot run safetensors: it runs a GGUF file"),
    ],
)
def test_what_no_engine_can_is_refused_with_the_reason(
    asked: str, form: Form, among: tuple[Candidate, ...], words: str
) -> None:
    """Without a GPU, without the program, or for files that it does not read, the refusal says so, by the field."""
    with pytest.raises(Unsupported, match=words) as raised:
        choose(asked, form, among, 0)
    assert raised.value.field == "engine"


def test_an_engine_that_there_is_not_is_a_bad_request() -> None:
    """An unknown name is refused with those that there are, before anything is known of the files."""
    with pytest.raises(BadRequest, match=r"no engine 'sglang'. There are: llama.cpp, vllm"):
        check("sglang", None, (LLAMA, V), 0)
    with pytest.raises(Unsupported, match="no GPU"):
        check(VLLM, None, (LLAMA, V), 0)
    check(VLLM, None, (LLAMA, V), 1)
    check("", None, (), 0)
    assert why_not(structs.replace(V, on_gpus_only=False), 0) is None


def test_files_say_their_form() -> None:
    """A source's name or a repository's files say what they are, where they do."""
    assert form_of("a/b.gguf") is form_of("foz:foz-tiny") is form_of("ollama:x") is Form.GGUF
    assert form_of("hf:org/repo") is form_of("folder") is None
    tensors = (File("config.json"), File("model.safetensors"))
    assert form_in(Found("hf:o/r", tensors)) is Form.SAFETENSORS
    assert form_in(Found("hf:o/r", (File("a-Q8_0.gguf"),))) is Form.GGUF
    assert form_in(Found("hf:o/r", ())) is form_in(Found("provider:box/a.gguf", (File("a.gguf"),))) is None


# llama.cpp among GPUs


def test_a_model_is_shared_among_gpus_by_what_they_have_free() -> None:
    """Two GPUs share the weights; the roomiest comes first and has the context, and others are left alone."""
    plan = load(_wish(tensor_parallel_size=2), GGUF, ROOM, _gpus(8, 2, 12), Manner(context=4096))
    assert plan.gpus == (2, 0)
    assert plan.layers_on_gpu == ALL_LAYERS
    assert len(plan.split) == 2
    assert sum(plan.split) == pytest.approx(1)
    cache = takes(GGUF, plan.slots, plan.context).cache
    room = [12 * GIB - cache - DRIVER, 8 * GIB - DRIVER]
    assert plan.split[0] / plan.split[1] == pytest.approx(room[0] / room[1], rel=0.05)


def test_one_gpu_is_the_roomiest_and_shares_nothing() -> None:
    """Unsaid, a model goes onto the GPU with the most room, and sees no other."""
    plan = load(WISH, GGUF, ROOM, _gpus(20, 40), Manner())
    assert (plan.gpus, plan.split) == ((1,), ())


def test_what_does_not_fit_onto_its_gpus_is_refused_with_the_sum() -> None:
    """Two GPUs without room for weights and context refuse with the sum, or keep layers in main memory if told to."""
    wish = _wish(tensor_parallel_size=2)
    with pytest.raises(NoCapacity, match=r"onto 2 GPUs: 8GB of weights \+ .* for the weights"):
        load(wish, GGUF, ROOM, _gpus(4, 5), Manner())
    shared = load(_wish(tensor_parallel_size=2, cpu_offload=True), GGUF, ROOM, _gpus(4, 5), Manner())
    assert 0 < shared.layers_on_gpu < GGUF.layers


def test_only_what_no_gpu_has_must_fit_into_memory() -> None:
    """With cpu_offload main memory is judged by the layers that stay there, and a refusal says how much that is."""
    wish = _wish(cpu_offload=True)
    little = structs.replace(ROOM, free=6 * GIB)
    assert load(wish, GGUF, little, _gpus(6), Manner()).layers_on_gpu > GGUF.layers // 3
    with pytest.raises(NoCapacity, match=r"into memory: .* of which \d\.?\d*GB stay there"):
        load(wish, GGUF, structs.replace(ROOM, free=2 * GIB), _gpus(6), Manner())


# vLLM


def test_vllm_takes_a_share_of_each_gpu() -> None:
    """On two GPUs of 80 GB each has half of the weights and context, with room to work; the share covers it."""
    found = plan(VLLM, _wish(tensor_parallel_size=2), TENSORS, ROOM, _gpus(70, 79), Manner(context=4096))
    each = 8 * GIB + takes(TENSORS, 4, 4096).cache // 2 + VLLM_WORK
    assert found.gpus == (1, 0)
    assert each / (80 * GIB) < found.share < 1.1 * each / (80 * GIB)
    assert (found.spill, found.slots, found.context) == (0, 4, 4096)


@given(st.integers(1, 79), st.integers(1, 4), st.booleans())
def test_vllm_never_wants_more_than_is_free(free: int, count: int, offload: bool) -> None:
    """Whatever is free, the share of a GPU's memory is within it, or the plan is refused with the sum."""
    wish = _wish(tensor_parallel_size=count, cpu_offload=offload)
    try:
        found = plan(VLLM, wish, TENSORS, ROOM, _gpus(*[free] * count), Manner())
    except NoCapacity as fault:
        assert "of weights + " in fault.message  # noqa: PT017 - one of two ends
        return
    assert found.share * 80 * GIB <= free * GIB + 1
    assert found.spill == 0 or offload
    assert found.spill < TENSORS.size // count
    assert needs(VLLM, found).total <= count * (found.share * 80 * GIB + found.spill) + count


def test_vllm_on_processors_is_judged_by_main_memory() -> None:
    """Without a GPU the sum is compared with main memory, and what it cannot do there is refused."""
    assert plan(VLLM, WISH, TENSORS, ROOM, (), Manner()).share == 0
    with pytest.raises(NoCapacity, match="into memory"):
        plan(VLLM, WISH, TENSORS, structs.replace(ROOM, free=8 * GIB), (), Manner())
    with pytest.raises(Unsupported, match="use_flash_attention"):
        plan(VLLM, _wish(use_flash_attention=True), TENSORS, ROOM, (), Manner())


@pytest.mark.parametrize(
    ("stored", "wanted", "makes"),
    [
        ("BF16", None, None),
        ("BF16", Quantization.FP16, None),
        ("BF16", Quantization.INT4, Quantization.INT4),
        ("awq-int4", Quantization.INT4, None),
        ("gptq-int8", Quantization.INT8, None),
        ("fp8", None, None),
        ("BF16", Quantization.INT8, Unsupported),
        ("awq-int4", Quantization.FP16, Unsupported),
        ("fp8", Quantization.INT4, Unsupported),
    ],
)
def test_vllm_makes_four_bits_and_nothing_else(stored: str, wanted: Quantization | None, makes: object) -> None:
    """int4 is made of 16 bits while loading; what is so already is taken; everything else is refused by name."""
    weights = structs.replace(TENSORS, quantization=stored)
    wish = structs.replace(WISH, quantization=wanted)
    if makes is Unsupported:
        with pytest.raises(Unsupported, match=f"quantization: {wanted} is not possible: these weights are {stored}"):
            plan(VLLM, wish, weights, ROOM, _gpus(79), Manner())
    else:
        assert plan(VLLM, wish, weights, ROOM, _gpus(79), Manner()).quantize is makes


def test_four_bits_take_less() -> None:
    """The sum of a model that is made int4 while loading has a third of its weights."""
    wish = structs.replace(WISH, quantization=Quantization.INT4)
    assert needs(VLLM, plan(VLLM, wish, TENSORS, ROOM, _gpus(79), Manner())).weights < TENSORS.size / 2


def test_hardware_is_what_it_is_loaded_onto() -> None:
    """People are told the GPUs that a model is on, else the processor."""
    both = load(_wish(tensor_parallel_size=2), GGUF, ROOM, _gpus(20, 20), Manner())
    assert hardware(both, ROOM, _gpus(20, 20)) == "2 x A GPU"
    assert hardware(load(WISH, GGUF, ROOM, (), Manner()), ROOM, _gpus(20)) == "A Processor"
