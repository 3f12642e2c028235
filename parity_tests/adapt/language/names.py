"""What names of parameters, methods and attributes usually mean."""

import re

_ROLES = (
    ("rate", r"lr|learn(ing)?_?rate|rate|eta|alpha|step_?size|l_?rate"),
    ("shape", r"(input_?)?shape|dims|(layer_?)?sizes|architecture|layer_?dims"),
    ("L", r"(n|num)_?(rnn_?)?layers?|layers|depth|n_?stack"),
    ("optimizer", r".*optim\w*|opt|solver"),
    (
        "D",
        r"(n|num|dim|size)_?(x|in|inp|inputs?|features?)|(input|in|inp|word|vocab|embedding|embed|x|feature)s?_?"
        r"(size|dim|dims|width|features|units|n)|n_?inputs?|inputs?|D|vocab_?len|d_?in|nin|n_?features|vocab|idim|features|dim|d_model",
    ),
    (
        "H",
        r"(n|num|dim|size)_?(h|a|hid|hidden|units|neurons|cells|state|nodes)|(hidden|hid|h|state|cell|rnn|a)_?"
        r"(size|dim|dims|width|units|n|nodes|layer_?size|neurons|features)|n_?hidden|n_?out_?h|units|width|H|hidden|hdim|d_?h|nhid|neurons",
    ),
    (
        "V",
        r"(n|num|dim|size)_?(y|out|outputs?|classes|labels)|(output|out|y|class)s?_?(size|dim|dims|width|n|nodes)|"
        r"n_?outputs?|outputs?|V|C|K|O|d_?out|nout|n_?classes|num_?labels",
    ),
    (
        "T",
        r"(seq|sequence|time|num|n)_?(len|length|steps?|T)|T|seq|steps|time_?steps|unroll\w*|bptt\w*|trunc\w*|n_?t|max_?(len|t)|t_?max",
    ),
    ("B", r"batch_?(size)?|B|N|n_?batch|minibatch|m|n_?samples"),
    (
        "Wx",
        r"W_?(x|xh|ih|ax|in|inp|input|hx|i|xa)|w_?(i|in|x|ih)|U|weights?_(ih|x|in|input)\w*|W_?input|inp|kernel|input_?weights?",
    ),
    (
        "Wh",
        r"W_?(h|hh|aa|rec|recurrent|r|state|s|hidden)|w_?(h|hh|r)|W|weights?_(hh|h|rec\w*)|recurrent_?(kernel|weights?)|own|R",
    ),
    ("Wy", r"W_?(y|hy|ya|o|out|ho|output|oh|hq)|w_?(y|o|out)|V|weights?_(ho|out\w*|y)|out"),
    ("b", r"b|b_?(h|hh|a|x|xh|ih|i|r|s|hidden|state|1)|bias|bias_?\w*|B_?h|off\w*"),
    ("by", r"b_?(y|o|out|hy|output|q|2)|c|bias_?(y|o|out\w*)"),
    ("params", r"params?|parameters|weights?|theta|p|w|model|net|variables"),
    (
        "d",
        r"d|d(_?[a-zA-Z]\w*)?(?<!data)(?<!dim)|grad\w*|g|delta\w*|up(stream)?\w*|err(or)?s?\w*|top_?(diff|grad)|\w*_?grad|"
        r"deltas?|douts?|dL_?d\w*|loss_?grad|next_?grad\w*|chain|back",
    ),
    (
        "y",
        r"y|ys|y_?(true|t)|targets?|labels?|Y|ts|t|truth|expected|answers?|next_?\w+|following|wanted|gold|goals?",
    ),
    ("cache", r"caches?|memory|tape|ctx|saved|kept|stored|records?|trace|history"),
    (
        "x",
        r"x|xs|x_?t|X|inputs?|inp|ins|seq|sequences?|data|sentence|tokens?|idx|indices|batch|inputs?_?\w*|x_?seq|"
        r"chars|symbols?|features|values|sample|words?|\w*_x|x_\w+|token_?ids|signal|series",
    ),
    (
        "h",
        r"h|h_?(0|t|prev|init|in|start|last|before|pre|tm1|x)|a_?(0|prev|t)?|s|s_?(0|prev)|(prev(ious)?|init(ial)?|start|last|hidden|"
        r"old)_?(h|state|hidden|s|states?|a)|states?|hidden(_state)?|prev|before|hprev|carry|memory|h_?state|hs|out_?prev|z_?prev",
    ),
)

KINDS = {"D", "H", "V", "T", "B"}
"""Sizes among the roles."""
WEIGHTS = ("Wx", "Wh", "b", "Wy", "by")
CASED = {*KINDS, *WEIGHTS}
"""Roles of which one letter tells another thing in upper case."""


def roles(name: str) -> list[str]:
    """Return what a parameter of this name may be, the likeliest first; nothing where its name says nothing.

    Example:
        >>> roles("hidden_size"), roles("dh_next"), roles("qqq")
        (['H'], ['d'], [])
    """
    plain = name.lstrip("_")
    found = []
    for role, pattern in _ROLES:
        flags = 0 if role in CASED and len(plain) < 3 else re.IGNORECASE
        if re.fullmatch(pattern, plain, flags):
            found.append(role)
    if "d" in found and "x" in found and plain not in ("g", "d"):
        found.remove("d")
    return found


FORWARD = (
    r"forward\w*", r"\w+_forward\w*", "__call__", r"call", r"f_?prop\w*", r"feed\w*", r"run\w*", r"predict\w*",
    r"(one_)?step\w*", r"\w+_step", r"propagat\w*", r"unroll\w*", r"process\w*", r"compute\w*", r"apply\w*",
    r"encode\w*", r"rnn\w*", r"cell\w*", r"simple_rnn\w*", r"hidden_?\w*", r"states?", r"fwd\w*", r"\w+_fwd", r"recur\w*",
    r"scan", r"roll\w*", r"tick", r"advance", r"go", r"evaluate", r"transform", r"inference",
)  # fmt: skip
BACKWARD = (
    r"back\w*", r"b_?prop\w*", r"\w*bptt\w*", r"\w*_backward\w*", r"bwd\w*", r"\w+_bwd", r"\w*grads?",
    r"gradients?(_\w+)?", r"grads?_\w+", r"compute_grad\w*", r"calc\w*_grad\w*", r"\w*_back", r"\w*backprop\w*",
)  # fmt: skip
LOSSES = (
    r"loss\w*",
    r"\w+_loss\w*",
    r"\w*cost\w*",
    r"loss_?fun\w*",
    r"objective",
    r"train_step\w*",
    r"forward_backward\w*",
)
SETUP = (r"set_?up\w*", r"build\w*", r"initiali[sz]e\w*", r"init\w*", r"reset\w*", r"create\w*", r"make\w*")
NEVER = (
    r"save\w*", r"fit\w*", r"train(?!_step)\w*", r"load\w*", r"\w*sample\w*", r"plot\w*", r"main\w*", r"test\w*",
    r"download\w*", r"write\w*", r"delete\w*", r"remove\w*", r"\w*update\w*", r"\w*check\w*", r"numerical\w*",
    r"zero_\w+", r"generate\w*",
)  # fmt: skip


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a name is on a list, and not among those that are never called."""
    plain = name if name.startswith("__") else name.lstrip("_")
    if any(re.fullmatch(pattern, plain, re.IGNORECASE) for pattern in NEVER):
        return False
    return any(
        re.fullmatch(pattern, plain, re.IGNORECASE) or re.fullmatch(pattern, name, re.IGNORECASE)
        for pattern in patterns
    )


def is_gradient_name(name: str, others: set[str]) -> bool:
    """Whether a name is that of a gradient (or a running mean) of one of the others."""
    return bool(gradient_of(name, others)) or is_running_mean(name, others)


def is_running_mean(name: str, others: set[str]) -> bool:
    """Whether a name is that of what an optimizer keeps for one of the others."""
    prefixes = ("m", "m_", "v_", "mem_", "mem", "cache_", "s_", "opt_")
    return any(name == f"{prefix}{other}" for prefix in prefixes for other in others)


def gradient_of(name: str, others: set[str]) -> str:
    """Return which of the others a gradient's name is of, ``""`` for none.

    Example:
        >>> gradient_of("dWx", {"Wx", "Wh"}), gradient_of("gwh", {"wh"}), gradient_of("Wh_grad", {"Wh"})
        ('Wx', 'wh', 'Wh')
    """
    for other in sorted(others, key=len, reverse=True):
        prefixes = (
            "d",
            "g",
            "grad",
            "grad_",
            "d_",
            "g_",
            "delta_",
            "delta",
            "dL_d",
            "dLd",
            "dE_d",
            "gradient_",
            "grads_",
            "D",
            "G",
            "der_",
            "d_L_d_",
        )
        suffixes = ("_grad", "grad", "_g", "_d", "_delta", "_gradient", "_grads", "Grad", "_bar", "_diff")
        if name in {f"{prefix}{other}" for prefix in prefixes} | {f"{other}{suffix}" for suffix in suffixes}:
            return other
    return ""
