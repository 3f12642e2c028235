"""How is a run shown? Its progress, its report as text, and how a finding is shown again."""
