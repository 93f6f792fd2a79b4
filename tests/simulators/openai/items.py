"""What OpenAI refuses in the items of `input` and in `tools`."""

from collections.abc import Mapping
from typing import Any

from tests.simulators.openai.shapes import array_of, check_type, invalid, missing, unknown
from tests.simulators.openai.web_search import check_web_search, is_web_search

ROLES = ("assistant", "system", "developer", "user")
#: The types of items, as OpenAI lists them.
ITEM_TYPES = (
    *("additional_tools", "agent_message", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call"),
    *("compaction", "compaction_trigger", "computer_call", "computer_call_output", "custom_tool_call"),
    *("custom_tool_call_output", "file_search_call", "function_call", "function_call_output", "image_generation_call"),
    *("item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request"),
    *("mcp_approval_response", "mcp_call", "mcp_list_tools", "message", "multi_agent_call"),
    *("multi_agent_call_output", "program", "program_output", "reasoning", "shell_call", "shell_call_output"),
    *("tool_search_call", "tool_search_output", "web_search_call"),
)
MESSAGE_FIELDS = frozenset({"type", "role", "content", "phase", "id", "status"})
#: The parts of a message's content: type → the field it needs.
INPUT_BLOCKS: Mapping[str, str] = {"input_text": "text", "input_image": "", "input_file": "", "input_audio": ""}
OUTPUT_BLOCKS: Mapping[str, str] = {"output_text": "text", "refusal": "refusal"}
#: Every hosted tool, and what it needs.
TOOLS: Mapping[str, tuple[str, ...]] = {
    "function": ("name",),
    "file_search": ("vector_store_ids",),
    "web_search": (),
    "web_search_2025_08_26": (),
    "web_search_preview": (),
    "web_search_preview_2025_03_11": (),
    "code_interpreter": ("container",),
    "computer": (),
    "computer_use_preview": (),
    "image_generation": (),
    "mcp": ("server_label",),
    "local_shell": (),
    "shell": (),
    "apply_patch": (),
    "custom": ("name",),
    "namespace": ("name",),
    "tool_search": (),
}


def check_input(name: str, value: Any) -> None:
    """Checks the shape of `input`: a text, or an array of items."""
    check_type(name, value, "one of a string or array of input items", str, list)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        _check_item(f"{name}[{index}]", item)


def _check_item(name: str, item: Any) -> None:
    check_type(name, item, "an input item", dict)
    kind = item.get("type", "message")
    if not isinstance(kind, str) or kind not in ITEM_TYPES:
        raise invalid(name, kind, ITEM_TYPES)
    if kind != "message":
        return
    role = item.get("role")
    if role not in ROLES:
        raise invalid(name, role, ROLES)
    unknown(name, item, MESSAGE_FIELDS)
    if item.get("content") is None:
        raise missing(f"{name}.content")
    check_type(f"{name}.content", item["content"], "one of an array of objects or string", str, list)
    blocks = OUTPUT_BLOCKS if role == "assistant" else INPUT_BLOCKS
    for index, block in enumerate(item["content"] if isinstance(item["content"], list) else ()):
        _check_block(f"{name}.content[{index}]", block, blocks)


def _check_block(name: str, block: Any, allowed: Mapping[str, str]) -> None:
    check_type(name, block, "an object", dict)
    if block.get("type") not in {**INPUT_BLOCKS, **OUTPUT_BLOCKS}:
        raise invalid(f"{name}.type", block.get("type"), {**INPUT_BLOCKS, **OUTPUT_BLOCKS})
    if block["type"] not in allowed:
        raise invalid(name, block["type"], allowed)
    needed = allowed[block["type"]]
    if needed and needed not in block:
        raise missing(f"{name}.{needed}")


def check_tools(name: str, value: Any) -> None:
    """Checks the shape of `tools`."""
    array_of(name, value, "tools")
    for index, tool in enumerate(value):
        where = f"{name}[{index}]"
        check_type(where, tool, "an object", dict)
        if "type" not in tool:
            raise missing(f"{where}.type")
        if tool["type"] not in TOOLS:
            raise invalid(f"{where}.type", tool["type"], TOOLS)
        for needed in TOOLS[tool["type"]]:
            if needed not in tool:
                raise missing(f"{where}.{needed}")
        if is_web_search(tool):
            check_web_search(where, tool)
        for store in tool.get("vector_store_ids", ()):
            check_type(f"{where}.vector_store_ids", store, "a string", str)
