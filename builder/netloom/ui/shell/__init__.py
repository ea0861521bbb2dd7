"""What every page needs: navigation, the session, open projects, and errors."""
